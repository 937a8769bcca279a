//! A check of AWS as data: what to read, what the answer must be, and how to fix it.
//!
//! The checks of the folder, the API, webhooks and pointers are code: they do not only read AWS, and their
//! success lines quote the answer. A row of this table only says what is wrong.

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use serde_json::Value;
use towline_client::aws_cli::{AwsError, Call};

use super::report::{Findings, Wrong};

type Judge<'a> = Box<dyn Fn(&Value) -> Option<Wrong> + Send + Sync + 'a>;
type Then<'a> = Box<dyn Fn(&Value) -> Vec<Check<'a>> + Send + Sync + 'a>;

/// One request to AWS.
pub struct Check<'a> {
    group: &'static str,
    /// The subject, for the line that says the check could not run.
    what: String,
    read: BoxFuture<'a, Result<Value, AwsError>>,
    absent: Absent,
    judge: Vec<Judge<'a>>,
    then: Vec<Then<'a>>,
}

/// How to judge that something does not exist on AWS.
enum Absent {
    /// The check could not run.
    Unknown,
    Wrong(Wrong),
    /// The same as an empty answer.
    Empty,
    /// Report nothing: another check does.
    Silent,
    /// Report nothing, even if AWS refuses for another reason: few people may read it.
    Optional,
}

impl<'a> Check<'a> {
    pub fn read(group: &'static str, what: impl Into<String>, call: Call) -> Self {
        Self::of(group, what, call.json::<Value>().boxed())
    }

    pub fn of(
        group: &'static str,
        what: impl Into<String>,
        read: BoxFuture<'a, Result<Value, AwsError>>,
    ) -> Self {
        Self {
            group,
            what: what.into(),
            read,
            absent: Absent::Unknown,
            judge: Vec::new(),
            then: Vec::new(),
        }
    }

    /// A finding if it does not exist.
    pub fn needed(mut self, what: impl Into<String>, help: impl Into<String>) -> Self {
        self.absent = Absent::Wrong(Wrong::new(what, help));
        self
    }

    /// Judges `null` if the thing does not exist.
    pub fn or_empty(mut self) -> Self {
        self.absent = Absent::Empty;
        self
    }

    /// Reports nothing if the thing does not exist.
    pub fn silent_if_absent(mut self) -> Self {
        self.absent = Absent::Silent;
        self
    }

    /// Reports nothing if AWS does not answer.
    pub fn optional(mut self) -> Self {
        self.absent = Absent::Optional;
        self
    }

    /// The value at a JSON pointer must be good; `{}` in `wrong` stands for that value.
    pub fn must(
        self,
        pointer: &'static str,
        good: impl Fn(&Value) -> bool + Send + Sync + 'a,
        wrong: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (wrong, help) = (wrong.into(), help.into());
        self.judge(move |answer| {
            let null = Value::Null;
            let value = answer.pointer(pointer).unwrap_or(&null);
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (!good(value)).then(|| Wrong::new(wrong.replace("{}", &text), help.clone()))
        })
    }

    pub fn judge(mut self, judge: impl Fn(&Value) -> Option<Wrong> + Send + Sync + 'a) -> Self {
        self.judge.push(Box::new(judge));
        self
    }

    /// Further checks that need this answer.
    pub fn then(mut self, then: impl Fn(&Value) -> Vec<Check<'a>> + Send + Sync + 'a) -> Self {
        self.then.push(Box::new(then));
        self
    }

    async fn run(self) -> Vec<Findings> {
        let mut findings = Findings::of(self.group);
        let answer = match (self.read.await, self.absent) {
            (Ok(answer), _) => answer,
            (Err(error), Absent::Wrong(wrong)) if error.is_absent() => {
                findings.wrong(wrong.what, wrong.help);
                return vec![findings];
            }
            (Err(error), Absent::Empty) if error.is_absent() => Value::Null,
            (Err(error), Absent::Silent) if error.is_absent() => return Vec::new(),
            (Err(_), Absent::Optional) => return Vec::new(),
            (Err(error), Absent::Wrong(_) | Absent::Empty | Absent::Silent | Absent::Unknown) => {
                findings.refused(self.what, &error);
                return vec![findings];
            }
        };
        for wrong in self.judge.iter().filter_map(|judge| judge(&answer)) {
            findings.wrong(wrong.what, wrong.help);
        }
        let then = self.then.iter().flat_map(|then| then(&answer)).collect();
        let mut all = vec![findings];
        all.extend(run(then).await);
        all
    }
}

/// Runs checks concurrently; findings keep the order of the checks.
pub fn run(checks: Vec<Check<'_>>) -> BoxFuture<'_, Vec<Findings>> {
    let all = join_all(checks.into_iter().map(Check::run));
    async { all.await.into_iter().flatten().collect() }.boxed()
}

/// Runs checks, and returns one [`Findings`] for each group; a group without findings gets its good line.
pub async fn grouped(checks: Vec<Check<'_>>, groups: &[(&'static str, String)]) -> Vec<Findings> {
    let mut all: Vec<Findings> = groups.iter().map(|(name, _)| Findings::of(name)).collect();
    for findings in run(checks).await {
        if let Some(group) = all.iter_mut().find(|it| it.is_of(&findings)) {
            group.extend(findings);
        }
    }
    for (findings, (_, good)) in all.iter_mut().zip(groups) {
        findings.good_unless_found(good);
    }
    all
}
