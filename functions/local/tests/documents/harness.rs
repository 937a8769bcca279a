//! A harness like Rust's own that knows, when it runs, what a test needs and this machine lacks.
//!
//! Rust's own harness can ignore a test only when it is compiled. Here a test that needs a missing
//! program is listed with what it needs, and counted as ignored, never as passed; `-- --include-ignored`
//! runs it anyway.

use std::process::Command;

use libtest_mimic::Trial;

/// What a test needs besides the binary, `git` and `bash`.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    Nothing,
    /// GNU make on the search path.
    Make,
    /// A Docker daemon, and make. Not looked for: `.ci/run clients` starts one, and runs these tests.
    Docker,
}

impl Need {
    fn words(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Make => "needs make",
            Self::Docker => "needs a Docker daemon",
        }
    }

    fn is_missing(self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Make => Command::new("make").arg("--version").output().is_err(),
            Self::Docker => true,
        }
    }
}

/// A test by its name.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    need: Need,
    run: Box<dyn FnOnce() + Send>,
}

impl Test {
    pub(crate) fn new(name: &'static str, run: impl FnOnce() + Send + 'static) -> Self {
        let (need, run) = (Need::Nothing, Box::new(run));
        Self { name, need, run }
    }

    pub(crate) fn needs(self, need: Need) -> Self {
        Self { need, ..self }
    }

    /// The test as the harness runs it, with its module before its name.
    pub(crate) fn trial(self, module: &str) -> Trial {
        let name = format!("{module}::{}", self.name);
        let trial = Trial::test(name, || {
            (self.run)();
            Ok(())
        });
        trial
            .with_kind(self.need.words())
            .with_ignored_flag(self.need.is_missing())
    }
}

/// Runs an `async` test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

/// `test!(name)` is the function as a test, `test!(async name)` an `async` one.
macro_rules! test {
    ($name:ident) => {
        $crate::harness::Test::new(stringify!($name), $name)
    };
    (async $name:ident) => {
        $crate::harness::Test::new(stringify!($name), || $crate::harness::block_on($name()))
    };
}

pub(crate) use test;
