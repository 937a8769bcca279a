//! Reads the four forms of a batch.

use super::Reader;
use crate::model::{
    Batch, BatchBuild, BatchEnv, BatchForm, Dynamic, Fanout, Matrix, ProblemKind, Static,
};
use crate::yaml::Node;

const BATCH_KEYS: &[&str] = &[
    "fast-fail",
    "build-list",
    "build-graph",
    "build-matrix",
    "build-fanout",
];
const BUILD_KEYS: &[&str] = &[
    "identifier",
    "buildspec",
    "debug-session",
    "depend-on",
    "env",
    "ignore-failure",
];
const ENV_KEYS: &[&str] = &[
    "compute-type",
    "fleet",
    "image",
    "privileged-mode",
    "type",
    "variables",
];
const MATRIX_KEYS: &[&str] = &["static", "dynamic"];
const STATIC_KEYS: &[&str] = &["ignore-failure", "env"];
const DYNAMIC_KEYS: &[&str] = &["buildspec", "env"];
const DYNAMIC_ENV_KEYS: &[&str] = &["compute-type", "image", "variables"];
const FANOUT_KEYS: &[&str] = &["parallelism", "ignore-failure"];

impl Reader {
    pub(super) fn batch(&mut self, node: &Node) -> Option<Batch> {
        let mut batch = Batch::default();
        for (key, value) in self.entries_or_none(node, "`batch`")? {
            match key.key_text() {
                "fast-fail" => batch.fast_fail = self.switch(value, "`fast-fail`"),
                "build-list" => batch.forms.push(BatchForm::List(self.builds(value))),
                "build-graph" => batch.forms.push(BatchForm::Graph(self.builds(value))),
                "build-matrix" => batch
                    .forms
                    .push(BatchForm::Matrix(Box::new(self.matrix(value)))),
                "build-fanout" => batch.forms.push(BatchForm::Fanout(self.fanout(value))),
                _ => self.unknown(key, value, "`batch`", BATCH_KEYS, &mut batch.other),
            }
        }
        if batch.forms.len() > 1 {
            let message = "a batch takes one of `build-list`, `build-graph`, `build-matrix` and `build-fanout`";
            self.note(ProblemKind::Suspicious, node, message);
        }
        Some(batch)
    }

    fn builds(&mut self, node: &Node) -> Vec<BatchBuild> {
        let items = self.list(node, "a list of builds");
        items.iter().map(|item| self.batch_build(item)).collect()
    }

    fn batch_build(&mut self, node: &Node) -> BatchBuild {
        let mut build = BatchBuild::default();
        for (key, value) in self.entries(node, "a build of a batch") {
            match key.key_text() {
                "identifier" => build.identifier = self.text(value, "`identifier`"),
                "buildspec" => build.buildspec = self.optional_text(value, "`buildspec`"),
                "debug-session" => build.debug_session = self.switch(value, "`debug-session`"),
                "depend-on" => build.depend_on = self.texts(value, "`depend-on`"),
                "env" => build.env = self.batch_env(value),
                "ignore-failure" => build.ignore_failure = self.switch(value, "`ignore-failure`"),
                _ => self.unknown(
                    key,
                    value,
                    "a build of a batch",
                    BUILD_KEYS,
                    &mut build.other,
                ),
            }
        }
        if !is_identifier(&build.identifier) {
            let message = "a build of a batch has an `identifier` of letters, digits and `_`, at most 128 of them";
            self.note(ProblemKind::Suspicious, node, message);
        }
        build
    }

    fn batch_env(&mut self, node: &Node) -> Option<BatchEnv> {
        let mut env = BatchEnv::default();
        for (key, value) in self.entries_or_none(node, "`env`")? {
            match key.key_text() {
                "compute-type" => env.compute_type = self.optional_text(value, "`compute-type`"),
                "fleet" => env.fleet = self.optional_text(value, "`fleet`"),
                "image" => env.image = self.optional_text(value, "`image`"),
                "privileged-mode" => env.privileged_mode = self.switch(value, "`privileged-mode`"),
                "type" => env.kind = self.optional_text(value, "`type`"),
                "variables" => env.variables = self.pairs(value, "`variables`"),
                _ => self.unknown(key, value, "`env`", ENV_KEYS, &mut env.other),
            }
        }
        if env.compute_type.is_some() && env.fleet.is_some() {
            let message = "`compute-type` and `fleet` cannot be used together";
            self.note(ProblemKind::Suspicious, node, message);
        }
        Some(env)
    }

    fn matrix(&mut self, node: &Node) -> Matrix {
        let mut matrix = Matrix::default();
        for (key, value) in self.entries(node, "`build-matrix`") {
            match key.key_text() {
                "static" => matrix.fixed = self.fixed(value),
                "dynamic" => matrix.dynamic = self.dynamic(value),
                _ => self.unknown(key, value, "`build-matrix`", MATRIX_KEYS, &mut matrix.other),
            }
        }
        matrix
    }

    fn fixed(&mut self, node: &Node) -> Option<Static> {
        let mut fixed = Static::default();
        for (key, value) in self.entries_or_none(node, "`static`")? {
            match key.key_text() {
                "ignore-failure" => fixed.ignore_failure = self.switch(value, "`ignore-failure`"),
                "env" => fixed.env = self.batch_env(value),
                _ => self.unknown(key, value, "`static`", STATIC_KEYS, &mut fixed.other),
            }
        }
        Some(fixed)
    }

    fn dynamic(&mut self, node: &Node) -> Option<Dynamic> {
        let mut dynamic = Dynamic::default();
        for (key, value) in self.entries_or_none(node, "`dynamic`")? {
            match key.key_text() {
                "buildspec" => dynamic.buildspec = self.texts_quietly(value, "`buildspec`"),
                "env" => self.dynamic_env(value, &mut dynamic),
                _ => self.unknown(key, value, "`dynamic`", DYNAMIC_KEYS, &mut dynamic.other),
            }
        }
        Some(dynamic)
    }

    fn dynamic_env(&mut self, node: &Node, dynamic: &mut Dynamic) {
        for (key, value) in self.entries(node, "`env`") {
            match key.key_text() {
                "compute-type" => {
                    dynamic.compute_type = self.texts_quietly(value, "`compute-type`");
                }
                "image" => dynamic.image = self.texts_quietly(value, "`image`"),
                "variables" => {
                    for (name, values) in self.entries(value, "`variables`") {
                        let name = name.key_text();
                        let values = self.texts_quietly(values, &format!("`{name}`"));
                        dynamic.variables.push((name.to_owned(), values));
                    }
                }
                _ => self.unknown(
                    key,
                    value,
                    "`env`",
                    DYNAMIC_ENV_KEYS,
                    &mut dynamic.other_env,
                ),
            }
        }
    }

    fn fanout(&mut self, node: &Node) -> Fanout {
        let mut fanout = Fanout::default();
        for (key, value) in self.entries(node, "`build-fanout`") {
            match key.key_text() {
                "parallelism" => fanout.parallelism = self.optional_text(value, "`parallelism`"),
                "ignore-failure" => fanout.ignore_failure = self.switch(value, "`ignore-failure`"),
                _ => self.unknown(key, value, "`build-fanout`", FANOUT_KEYS, &mut fanout.other),
            }
        }
        fanout
    }
}

fn is_identifier(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
