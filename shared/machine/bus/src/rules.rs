//! The functions and the rules of `events/rules`, listed here and nowhere else.

/// Every function by its name, which is also the name of its folder, module and rule.
pub const FUNCTIONS: &[&str] = &[
    "receive-github",
    "plan-runs",
    "start-builds",
    "record-images",
    "advance-stages",
    "promote-images",
    "deploy-images",
    "report-status",
    "answer-chat",
    "sweep",
];

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
