//! Values of secret stores come from the secrets file, and only the build sees them.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const SPEC: &str = "version: 0.2
env:
  shell: bash
  variables: {BOTH: variable, OVER: variable}
  parameter-store: {TOKEN: /shop/token, OVER: /shop/over}
  secrets-manager: {PASSWORD: 'shop/db:password', WHOLE: shop/db}
  exported-variables: [TOKEN, DERIVED, BOTH, HARMLESS, AWS_REGION, '1x']
phases:
  build:
    commands:
      - export DERIVED=\"https://ada:$TOKEN@example.com\" HARMLESS=plain
      - echo \"$TOKEN\" \"$PASSWORD\" \"$WHOLE\" \"$BOTH\" \"$OVER\"
      - '[ ${#TOKEN} = 11 ] && [ ${#PASSWORD} = 11 ] && [ ${#WHOLE} = 26 ]'
      - 'mapfile -d \"\" words </proc/$$/cmdline; [[ \"${words[*]}\" != *\"$TOKEN\"* ]] && echo not in an argument'
";

const FILE: &str = r#"{"parameter-store": {"/shop/token": "t0ken-value", "/shop/over": "from-the-store"},
    "secrets-manager": {"shop/db": {"password": "hunter2-now"}}}"#;

impl World {
    fn write_secrets(&self, text: &str, mode: u32) {
        let path = self.path("secrets.json");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test]
async fn a31_values_of_stores_reach_the_build_and_nothing_else() {
    let world = World::new(1).await;
    world.write_secrets(FILE, 0o600);
    let mut request = world.request(1, SPEC);
    request.environment = vec![("OVER".into(), "given".into())];
    let build = world.runner.start(request).await.unwrap();
    let report = world.end(&build).await;
    let log = world.log(&build).await;
    assert_eq!(report.status, BuildStatus::Succeeded, "{log}");
    assert!(log.contains("\n*** *** *** variable given\n"), "{log}");
    assert!(log.contains("\nnot in an argument\n"), "{log}");
    for name in ["TOKEN", "DERIVED", "AWS_REGION", "1x"] {
        assert!(log.contains(&format!("Not exported: {name} (")), "{log}");
    }
    let exported = world.runner.exported_variables(&build).await.unwrap();
    let expected = [("BOTH", "variable"), ("HARMLESS", "plain")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(exported.unwrap(), expected);
    let events = world.runner.next_events(0, 10).await.unwrap();
    let mut kept = format!("{log}{events:?}");
    for file in ["builds.sqlite", "builds.sqlite-wal"] {
        let bytes = fs::read(world.path("data").join(file)).unwrap();
        kept += &String::from_utf8_lossy(&bytes);
    }
    for value in ["t0ken-value", "hunter2-now"] {
        assert!(!kept.contains(value), "{value} is kept");
    }
}

#[tokio::test]
async fn a_value_that_is_not_there_fails_the_build_before_any_command() {
    let world = World::new(1).await;
    for (number, file, mode, expected) in [
        (
            1,
            "",
            0,
            "does not exist; create it with {\"parameter-store\"",
        ),
        (
            2,
            FILE,
            0o644,
            "can be read by others (mode 644); run chmod 600",
        ),
        (
            3,
            "{}",
            0o600,
            "does not have TOKEN (parameter-store /shop/token): no such name in \
             \"parameter-store\"; OVER (parameter-store /shop/over): no such name",
        ),
    ] {
        if mode > 0 {
            world.write_secrets(file, mode);
        }
        let build = world.start(number, SPEC).await;
        let reason = world.end(&build).await.reason.unwrap();
        assert!(
            reason.starts_with("DOWNLOAD_SOURCE: CLIENT_ERROR: "),
            "{reason}"
        );
        assert!(reason.contains(expected), "{reason}");
        let log = world.log(&build).await;
        assert!(!log.contains("Entering phase INSTALL"), "{log}");
    }
}
