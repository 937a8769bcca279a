//! The people in the list, in JSON, and how each is identified: by token, AWS identity or user in Slack.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use towline_domain::person::Person;

/// A person and their credentials. The token itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    #[serde(flatten)]
    pub person: Person,
    /// SHA-256 of their token, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
    /// The IAM user or role they call with, or their session of a role of IAM Identity Center.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Who they are in workspaces of Slack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slack: Vec<SlackUser>,
}

/// A user of a Slack workspace, as `T024BE7LD/U061F7AUR`. Both ids are what Slack signs; names are not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlackUser {
    team: String,
    user: String,
}

/// Why a text is not a user of Slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a workspace and a user as Slack names them, such as T024BE7LD/U061F7AUR")]
pub struct SlackUserError;

impl SlackUser {
    /// # Errors
    /// When these are not ids of Slack.
    pub fn new(team: &str, user: &str) -> Result<Self, SlackUserError> {
        let is_id = |text: &str| {
            let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            (2..=32).contains(&text.len()) && text.bytes().all(good)
        };
        match is_id(team) && is_id(user) {
            true => Ok(Self {
                team: team.into(),
                user: user.into(),
            }),
            false => Err(SlackUserError),
        }
    }
}

impl FromStr for SlackUser {
    type Err = SlackUserError;

    fn from_str(text: &str) -> Result<Self, SlackUserError> {
        let (team, user) = text.split_once('/').ok_or(SlackUserError)?;
        Self::new(team, user)
    }
}

impl TryFrom<String> for SlackUser {
    type Error = SlackUserError;

    fn try_from(text: String) -> Result<Self, SlackUserError> {
        text.parse()
    }
}

impl From<SlackUser> for String {
    fn from(user: SlackUser) -> Self {
        user.to_string()
    }
}

impl fmt::Display for SlackUser {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{}/{}", self.team, self.user)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct People(pub Vec<Known>);

/// The stored hash of a token.
#[must_use]
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.trim()))
}

impl People {
    /// Reads the list.
    ///
    /// # Errors
    /// When it is not a JSON list of people. The error never quotes its content.
    pub fn decode(bytes: &[u8]) -> Result<Self, PeopleError> {
        serde_json::from_slice(bytes).map_err(|error| PeopleError {
            line: error.line(),
            column: error.column(),
        })
    }

    /// The person with this token. Only hashes are compared, so timing reveals nothing about it.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<&Person> {
        let hash = hash(token);
        self.only(|known| known.token_sha256.as_deref() == Some(hash.as_str()))
    }

    /// The person of an ARN that AWS has verified: the person with exactly this ARN, otherwise the
    /// person with the role that the session belongs to. Two people with the same role are
    /// distinguished only by the ARNs of their sessions, and only if they cannot choose these: see
    /// [`is_trustworthy`]. Otherwise the caller is unknown.
    #[must_use]
    pub fn by_arn(&self, caller: &str) -> Option<&Person> {
        self.only(|known| known.arn.as_deref() == Some(caller) && is_trustworthy(caller))
            .or_else(|| {
                let session = Role::of_session(caller)?;
                self.only(|known| {
                    let role = known.arn.as_deref().and_then(Role::of_role);
                    role.as_ref() == Some(&session)
                })
            })
    }

    #[must_use]
    pub fn by_slack(&self, user: &SlackUser) -> Option<&Person> {
        self.only(|known| known.slack.contains(user))
    }

    fn only(&self, fits: impl Fn(&Known) -> bool) -> Option<&Person> {
        let mut found = self.0.iter().filter(|known| fits(known));
        let first = found.next()?;
        found.next().is_none().then_some(&first.person)
    }
}

/// Whether an ARN identifies one person. Anyone who assumes a role chooses the session's name (STS
/// API, `AssumeRole`), except that IAM Identity Center sets it for each user; its roles have a
/// prefix that IAM reserves (IAM Identity Center user guide, "Permission sets").
#[must_use]
pub fn is_trustworthy(arn: &str) -> bool {
    match Role::of_session(arn) {
        Some(role) => role.name.starts_with("AWSReservedSSO_"),
        None => parts(arn, "iam").is_some(),
    }
}

/// Why the list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the people are not a JSON list of {{\"login\", \"groups\", \"token_sha256\"}} (line {line}, column {column})"
)]
pub struct PeopleError {
    line: usize,
    column: usize,
}

/// A role of an account, by its name; the path is not part of a session's ARN (IAM user guide, "IAM
/// identifiers").
#[derive(PartialEq, Eq)]
struct Role<'a> {
    partition: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> Role<'a> {
    fn of_session(arn: &'a str) -> Option<Self> {
        let (partition, account, resource) = parts(arn, "sts")?;
        let (name, session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
        (!name.is_empty() && !session.is_empty()).then_some(Self {
            partition,
            account,
            name,
        })
    }

    fn of_role(arn: &'a str) -> Option<Self> {
        let (partition, account, resource) = parts(arn, "iam")?;
        let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
        (!name.is_empty()).then_some(Self {
            partition,
            account,
            name,
        })
    }
}

fn parts<'a>(arn: &'a str, service: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut parts = arn.splitn(6, ':');
    let (start, partition, named) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let good = start == "arn" && named == service && region.is_empty() && !account.is_empty();
    good.then_some((partition, account, resource))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn people() -> People {
        let list = serde_json::json!([
            {"login": "kim", "groups": ["release"], "token_sha256": hash("kim's"), "arn": "arn:aws:iam::111122223333:user/team/kim"},
            {"login": "lee", "emails": ["lee@acme.example"], "arn": "arn:aws:iam::111122223333:role/aws-reserved/sso/Deployers"},
            {"login": "max", "arn": "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Shared_1f/max@acme.example"},
            {"login": "eve", "arn": "arn:aws:sts::111122223333:assumed-role/Chosen/max@acme.example"},
            {"login": "ann", "token_sha256": hash("both"), "arn": "arn:aws:iam::111122223333:role/Twice"},
            {"login": "bob", "token_sha256": hash("both"), "arn": "arn:aws:iam::111122223333:role/x/Twice"},
            {"login": "nil", "token_sha256": "", "arn": ""},
            {"login": "sue", "slack": ["T1/U1", "E9/W2"]},
            {"login": "tom", "slack": ["T1/U3"]},
            {"login": "tim", "slack": ["T1/U3"]},
        ]);
        People::decode(list.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_person_is_told_by_their_token() {
        let people = people();
        let check = |token: &str, expected: Option<&str>| {
            let found = people.by_token(token).map(|person| person.login.as_str());
            assert_eq!(found, expected, "{token}");
        };
        check("kim's", Some("kim"));
        check("kim's\n", Some("kim"));
        check("both", None);
        check("", None);
        check("unset", None);
    }

    #[test]
    fn a23_a_person_is_told_by_their_identity_in_aws() {
        let people = people();
        let check = |arn: &str, expected: Option<&str>| {
            let found = people.by_arn(arn).map(|person| person.login.as_str());
            assert_eq!(found, expected, "{arn}");
        };
        check("arn:aws:iam::111122223333:user/team/kim", Some("kim"));
        check("arn:aws:iam::111122223333:user/kim", None);
        check(
            "arn:aws:sts::111122223333:assumed-role/Deployers/any",
            Some("lee"),
        );
        check("arn:aws:sts::999922223333:assumed-role/Deployers/any", None);
        check(
            "arn:aws-cn:sts::111122223333:assumed-role/Deployers/any",
            None,
        );
        check("arn:aws:sts::111122223333:assumed-role/Deployers", None);
        check("arn:aws:sts::111122223333:assumed-role/Deployers/", None);
        check(
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Shared_1f/max@acme.example",
            Some("max"),
        );
        check(
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Shared_1f/eve@acme.example",
            None,
        );
        // A person who assumes an ordinary role chooses the session's name.
        check(
            "arn:aws:sts::111122223333:assumed-role/Chosen/max@acme.example",
            None,
        );
        check("arn:aws:sts::111122223333:assumed-role/Twice/x", None);
        check("arn:aws:sts::111122223333:federated-user/Deployers", None);
        check("arn:aws:iam::111122223333:root", None);
        check("", None);
    }

    #[test]
    fn s22_a_person_is_told_by_their_workspace_and_their_user_in_it() {
        let people = people();
        let check = |team: &str, user: &str, expected: Option<&str>| {
            let user = SlackUser::new(team, user);
            let found = user.ok().and_then(|user| people.by_slack(&user));
            let found = found.map(|person| person.login.as_str());
            assert_eq!(found, expected);
        };
        check("T1", "U1", Some("sue"));
        check("E9", "W2", Some("sue"));
        check("T2", "U1", None);
        check("T1", "U2", None);
        check("T1", "U3", None);
        check("T1/U1", "U1", None);
        check("", "", None);
    }

    #[test]
    fn what_is_no_list_of_people_is_refused_without_quoting_it() {
        for text in [
            "unset",
            "{}",
            "[{}]",
            "[{\"login\": 1}]",
            "{\"login\": \"secret\"}",
        ] {
            let refused = People::decode(text.as_bytes()).unwrap_err().to_string();
            assert!(
                !refused.contains("secret") && !refused.contains("unset"),
                "{refused}"
            );
        }
        assert_eq!(People::decode(b"[]").unwrap(), People::default());
    }
}
