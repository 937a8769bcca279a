//! The versions of a buildspec's runtimes on this machine. Nothing is installed.

use std::process::Stdio;
use std::time::Duration;

use regex_lite::Regex;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::environment::Variables;
use crate::users::User;

/// How long a program may take to print its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of its output to read.
const MOST: u64 = 16 * 1024;

/// The runtimes of CodeBuild's images, and the commands that print their versions.
const PROGRAMS: [(&str, &[&str]); 10] = [
    ("android", &["sdkmanager", "--version"]),
    ("docker", &["docker", "--version"]),
    ("dotnet", &["dotnet", "--version"]),
    ("golang", &["go", "version"]),
    ("java", &["java", "-version"]),
    ("nodejs", &["node", "--version"]),
    ("php", &["php", "--version"]),
    ("python", &["python3", "--version"]),
    ("ruby", &["ruby", "--version"]),
    ("rust", &["rustc", "--version"]),
];

/// A line about a runtime, if the machine does not have exactly that version.
pub(crate) async fn difference(
    runtime: &str,
    wanted: &str,
    variables: &Variables,
    user: Option<&User>,
) -> Option<String> {
    let known = PROGRAMS.iter().find(|(name, _)| *name == runtime);
    let Some((_, program)) = known else {
        return Some(format!(
            "runtime-versions: {runtime} {wanted} requested; cannot check for it on this machine"
        ));
    };
    let has = match version(program, variables, user).await {
        Some(has) if fits(&resolved(wanted, variables), &has) => return None,
        Some(has) => format!("this machine uses {has}"),
        None => format!("this machine has no {} that prints its version", program[0]),
    };
    Some(format!(
        "runtime-versions: {runtime} {wanted} requested; {has}"
    ))
}

/// The first number in a program's output.
async fn version(program: &[&str], variables: &Variables, user: Option<&User>) -> Option<String> {
    let mut command = Command::new("/bin/sh");
    // The shell searches the build's own PATH, and merges both outputs.
    let script = r#"exec "$@" 2>&1"#;
    command
        .args(["-c", script, "sh"])
        .args(program)
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    let mut child = command.spawn().ok()?;
    let output = child.stdout.take()?;
    let read = async {
        let mut said = Vec::new();
        output.take(MOST).read_to_end(&mut said).await.ok()?;
        Some(String::from_utf8_lossy(&said).into_owned())
    };
    let said = timeout(PATIENCE, read).await.ok()??;
    // The rest of a longer output is ignored.
    let _ = child.start_kill();
    let ended = timeout(PATIENCE, child.wait()).await;
    let number = Regex::new(r"\d+\.\d+(\.\d+)*").ok()?;
    // The shell exits with 127 if it finds no program.
    let missing = matches!(ended, Ok(Ok(status)) if status.code() == Some(127));
    let found = number.find(&said).filter(|_| !missing)?;
    Some(found.as_str().to_owned())
}

/// The value of `$NAME` in the build.
fn resolved(wanted: &str, variables: &Variables) -> String {
    let Some(name) = wanted.strip_prefix('$') else {
        return wanted.to_owned();
    };
    let name = name.trim_start_matches('{').trim_end_matches('}');
    let value = variables.iter().rev().find(|(known, _)| known == name);
    value.map_or_else(
        || wanted.to_owned(),
        |(_, value)| value.to_string_lossy().into_owned(),
    )
}

/// Whether a version satisfies a buildspec's request: `20`, `20.x`, `corretto21`.
fn fits(wanted: &str, has: &str) -> bool {
    if wanted == "latest" {
        return true;
    }
    let wanted = wanted.trim_start_matches(|first: char| first.is_ascii_alphabetic());
    let wanted: Vec<&str> = wanted.split('.').take_while(|part| *part != "x").collect();
    let has: Vec<&str> = has.split('.').collect();
    // Java before 9 called itself 1.8.
    let old_java = || has.first() == Some(&"1") && has[1..].starts_with(&wanted);
    !wanted.is_empty() && (has.starts_with(&wanted) || wanted == ["8"] && old_java())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_fits_by_its_parts() {
        for (wanted, has, expected) in [
            ("1.20", "1.20.3", true),
            ("1.20", "1.2.0", false),
            ("1.2", "1.20", false),
            ("20", "20.11.1", true),
            ("20.x", "20.11.1", true),
            ("20.x", "18.2.0", false),
            ("latest", "3.4", true),
            ("corretto21", "21.0.2", true),
            ("corretto8", "1.8.0", true),
            ("corretto11", "1.8.0", false),
            ("x", "1.8.0", false),
            ("", "1.8.0", false),
        ] {
            assert_eq!(fits(wanted, has), expected, "{wanted} {has}");
        }
    }
}
