//! Which versions of a buildspec's runtimes the machine has; one machine installs none.

use std::process::Stdio;
use std::time::Duration;

use regex_lite::Regex;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::environment::Variables;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of what it says that are read.
const MOST: u64 = 16 * 1024;

/// The runtimes of CodeBuild's images, and the command that says which version there is.
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

/// What to say of a runtime when the machine has not just that.
pub(crate) async fn difference(
    runtime: &str,
    wanted: &str,
    variables: &Variables,
) -> Option<String> {
    let known = PROGRAMS.iter().find(|(name, _)| *name == runtime);
    let Some((_, program)) = known else {
        return Some(format!(
            "runtime-versions: {runtime} {wanted} is wanted; it is not known here how to look for it"
        ));
    };
    let has = match version(program, variables).await {
        Some(has) if fits(&resolved(wanted, variables), &has) => return None,
        Some(has) => format!("this machine has {has}, which is used"),
        None => format!("this machine has no {} that says its version", program[0]),
    };
    Some(format!(
        "runtime-versions: {runtime} {wanted} is wanted; {has}"
    ))
}

/// The first number that a program says.
async fn version(program: &[&str], variables: &Variables) -> Option<String> {
    let mut command = Command::new("/bin/sh");
    // The shell looks the program up in the build's own PATH, and puts both outputs into one.
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
    let mut child = command.spawn().ok()?;
    let output = child.stdout.take()?;
    let read = async {
        let mut said = Vec::new();
        output.take(MOST).read_to_end(&mut said).await.ok()?;
        Some(String::from_utf8_lossy(&said).into_owned())
    };
    let said = timeout(PATIENCE, read).await.ok()??;
    // Whoever said so much may go on; nobody listens.
    let _ = child.start_kill();
    let ended = timeout(PATIENCE, child.wait()).await;
    let number = Regex::new(r"\d+\.\d+(\.\d+)*").ok()?;
    // A shell that finds no program ends with 127.
    let missing = matches!(ended, Ok(Ok(status)) if status.code() == Some(127));
    let found = number.find(&said).filter(|_| !missing)?;
    Some(found.as_str().to_owned())
}

/// `$NAME` as it is in the build.
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

/// Whether a version is one of those that a buildspec asks for: `20`, `20.x`, `corretto21`.
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
