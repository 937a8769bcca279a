//! Decides whether something runs only after a successful build.

/// What is known about the build where something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Guard {
    #[default]
    None,
    /// It has succeeded so far.
    Succeeding,
    Failing,
}

impl Guard {
    pub(crate) fn and(self, other: Self) -> Self {
        if other == Self::None { self } else { other }
    }

    /// The opposite holds.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Succeeding => Self::Failing,
            Self::Failing => Self::Succeeding,
        }
    }
}

const FLAG: &str = "CODEBUILD_BUILD_SUCCEEDING";

/// Characters that may surround the variable and the value: quotes, escaped ones, or `/"`, as in
/// many buildspecs.
const NOISE: [char; 7] = ['}', '"', '\'', ' ', '/', '\\', '^'];

/// Whether a text uses the variable with the build's state.
pub(crate) fn names_success(text: &str) -> bool {
    text.contains(FLAG)
}

/// The guard of a condition such as `[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]`.
///
/// Of several conditions, only the last one about the build counts, and only if they are joined by `&&`.
pub(crate) fn test(text: &str) -> Guard {
    if !names_success(text) || text.contains("||") {
        return Guard::None;
    }
    let Some(start) = text.rfind(FLAG) else {
        return Guard::None;
    };
    let before = text[..start].trim_start();
    let behind = &text[start + FLAG.len()..];
    // `${NAME:-0}`
    let behind = match behind.starts_with([':', '-']) {
        true => behind.split_once('}').map_or("", |(_, rest)| rest),
        false => behind,
    };
    let behind = behind.trim_start_matches(NOISE);
    let is_arithmetic = before.starts_with("((");
    let turned = before.starts_with('!') || before.contains(" ! ");
    let mut rest = behind;
    let mut is_equal = None;
    for (operator, equal) in [
        ("==", true),
        ("=~", true),
        ("!=", false),
        ("=", true),
        ("-eq", true),
        ("-ne", false),
        ("-gt", false),
        ("-lt", false),
    ] {
        if let Some(tail) = behind.strip_prefix(operator) {
            is_equal = Some(equal);
            rest = tail;
            break;
        }
    }
    let value = rest.trim_start_matches(NOISE).chars().next().unwrap_or(' ');
    let guard = match (is_equal, value) {
        (Some(true), '1') | (Some(false), '0') => Guard::Succeeding,
        (Some(true), '0') | (Some(false), '1') => Guard::Failing,
        (None, _) if is_arithmetic => Guard::Succeeding,
        _ => yoda(before),
    };
    if turned { guard.not() } else { guard }
}

/// `[ 1 = "$CODEBUILD_BUILD_SUCCEEDING" ]`
fn yoda(before: &str) -> Guard {
    let words: Vec<&str> = before
        .trim_end_matches(['"', '$', '{', ' ', '/', '\\'])
        .split_whitespace()
        .collect();
    let [.., value, operator] = words[..] else {
        return Guard::None;
    };
    match (value.trim_matches(['"', '\'']), operator) {
        ("1", "=" | "==" | "-eq") | ("0", "!=" | "-ne") => Guard::Succeeding,
        ("0", "=" | "==" | "-eq") | ("1", "!=" | "-ne") => Guard::Failing,
        _ => Guard::None,
    }
}

/// Whether a script for another shell ends with an error unless the build succeeds, so that its command
/// fails.
pub(super) fn script_stops(script: &str) -> bool {
    let Some((condition, rest)) = script.split_once(';').or_else(|| script.split_once("||")) else {
        return false;
    };
    let runs_unless = script.contains("||") && !script.contains(';');
    let fails = match test(condition) {
        Guard::Succeeding => runs_unless,
        Guard::Failing => true,
        Guard::None => false,
    };
    let words = rest.trim_start().trim_start_matches("then").trim_start();
    fails && words.starts_with("exit ") && !words.starts_with("exit 0")
}
