//! Prints the four forms of a batch.

use super::Page;
use super::scalar::key;
use crate::model::{Batch, BatchBuild, BatchEnv, BatchForm, Dynamic, Fanout, Matrix, Static};

impl Page {
    pub(super) fn batch(&mut self, batch: &Batch) {
        self.mapping(0, "batch", |page| {
            page.switch(1, "fast-fail", batch.fast_fail);
            for form in &batch.forms {
                page.form(form);
            }
            page.others(1, &batch.other);
        });
    }

    fn form(&mut self, form: &BatchForm) {
        let key = form.key();
        match form {
            BatchForm::List(builds) | BatchForm::Graph(builds) if builds.is_empty() => {
                self.line(1, &format!("{key}: []"));
            }
            BatchForm::List(builds) | BatchForm::Graph(builds) => {
                self.line(1, &format!("{key}:"));
                for build in builds {
                    self.item(2, |page| page.build(3, build));
                }
            }
            BatchForm::Matrix(matrix) => self.mapping(1, key, |page| page.matrix(matrix)),
            BatchForm::Fanout(fanout) => self.mapping(1, key, |page| page.fanout(fanout)),
        }
    }

    fn build(&mut self, depth: usize, build: &BatchBuild) {
        self.value(depth, "identifier", &build.identifier);
        self.optional(depth, "buildspec", build.buildspec.as_deref());
        self.switch(depth, "debug-session", build.debug_session);
        self.list(depth, "depend-on", &build.depend_on);
        self.batch_env(depth, build.env.as_ref());
        self.switch(depth, "ignore-failure", build.ignore_failure);
        self.others(depth, &build.other);
    }

    fn batch_env(&mut self, depth: usize, env: Option<&BatchEnv>) {
        let Some(env) = env else {
            return;
        };
        self.mapping(depth, "env", |page| {
            page.optional(depth + 1, "compute-type", env.compute_type.as_deref());
            page.optional(depth + 1, "fleet", env.fleet.as_deref());
            page.optional(depth + 1, "image", env.image.as_deref());
            page.switch(depth + 1, "privileged-mode", env.privileged_mode);
            page.optional(depth + 1, "type", env.kind.as_deref());
            page.pairs(depth + 1, "variables", &env.variables);
            page.others(depth + 1, &env.other);
        });
    }

    fn matrix(&mut self, matrix: &Matrix) {
        if let Some(fixed) = &matrix.fixed {
            self.mapping(2, "static", |page| page.fixed(fixed));
        }
        if let Some(dynamic) = &matrix.dynamic {
            self.mapping(2, "dynamic", |page| page.dynamic(dynamic));
        }
        self.others(2, &matrix.other);
    }

    fn fixed(&mut self, fixed: &Static) {
        self.switch(3, "ignore-failure", fixed.ignore_failure);
        self.batch_env(3, fixed.env.as_ref());
        self.others(3, &fixed.other);
    }

    fn dynamic(&mut self, dynamic: &Dynamic) {
        self.list(3, "buildspec", &dynamic.buildspec);
        let before = self.text.len();
        self.line(3, "env:");
        let start = self.text.len();
        self.list(4, "compute-type", &dynamic.compute_type);
        self.list(4, "image", &dynamic.image);
        if !dynamic.variables.is_empty() {
            self.line(4, "variables:");
        }
        for (name, values) in &dynamic.variables {
            if values.is_empty() {
                self.line(5, &format!("{}: []", key(name)));
            }
            self.list(5, &key(name), values);
        }
        self.others(4, &dynamic.other_env);
        if self.text.len() == start {
            self.text.truncate(before);
        }
        self.others(3, &dynamic.other);
    }

    fn fanout(&mut self, fanout: &Fanout) {
        self.optional(2, "parallelism", fanout.parallelism.as_deref());
        self.switch(2, "ignore-failure", fanout.ignore_failure);
        self.others(2, &fanout.other);
    }
}
