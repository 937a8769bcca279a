//! The functions and the rules of `events/rules`, listed here and nowhere else.

use std::fmt;

macro_rules! functions {
    ($($function:ident $name:literal,)*) => {
        /// Every function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Function {
            $($function,)*
        }

        /// The names of all functions.
        pub const FUNCTIONS: &[&str] = &[$($name,)*];

        impl Function {
            /// Its name, which is also the name of its folder, module and rule.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$function => $name,)*
                }
            }

            /// The function of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$function),)*
                    _ => None,
                }
            }
        }
    };
}

functions! {
    ReceiveGithub "receive-github",
    PlanRuns "plan-runs",
    StartBuilds "start-builds",
    RecordImages "record-images",
    AdvanceStages "advance-stages",
    PromoteImages "promote-images",
    DeployImages "deploy-images",
    ReportStatus "report-status",
    AnswerChat "answer-chat",
    Sweep "sweep",
}

impl fmt::Display for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

macro_rules! rules {
    ($($function:literal),*) => {
        [$((
            $function,
            include_str!(concat!("../../../../events/rules/", $function, ".json")),
        )),*]
    };
}

/// The files of `events/rules`, by function.
pub const RULES: [(&str, &str); 7] = rules![
    "advance-stages",
    "deploy-images",
    "plan-runs",
    "promote-images",
    "record-images",
    "report-status",
    "start-builds"
];
