//! The log of a build, and where reading it ends.

use super::*;

fn lines(lines: &[&str], next: &str) -> Answer {
    let events = lines.iter().map(|line| json!({ "message": line }));
    ok(json!({ "events": events.collect::<Vec<_>>(), "nextForwardToken": next }))
}

fn known() -> Answer {
    builds(&[described("1", "IN_PROGRESS", &[])])
}

async fn read(aws: &crate::CodeBuild, from: u64) -> Option<String> {
    let part = aws.log(&build(), from).await.expect("it answers")?;
    Some(String::from_utf8(part).expect("text"))
}

#[tokio::test]
async fn a_log_is_its_lines_as_bytes_from_any_place_on() {
    for (from, expected) in [
        (0, "one\ntwo\nthrée\n"),
        (2, "e\ntwo\nthrée\n"),
        (8, "thrée\n"),
        (15, ""),
        (99, ""),
    ] {
        let (service, aws) = Service::start([
            known(),
            lines(&["one\n", "two"], "a"),
            lines(&["thrée\n"], "b"),
            lines(&[], "b"),
        ])
        .await;
        let text = read(&aws.builds(), from).await;
        assert_eq!(text.as_deref(), Some(expected), "from {from}");
        let asked = service.asked().remove(1).1;
        let expected =
            json!({ "logGroupName": "group", "logStreamName": "stream", "startFromHead": true });
        assert_eq!(asked, expected);
    }
}

#[tokio::test]
async fn who_follows_a_log_reads_on_where_the_last_page_ended() {
    let (service, aws) = Service::start([
        known(),
        lines(&["one\n"], "a"),
        lines(&[], "a"),
        known(),
        lines(&["two\n"], "b"),
        lines(&[], "b"),
        known(),
        lines(&["one\n", "two\n"], "a"),
        lines(&[], "a"),
    ])
    .await;
    let builds = aws.builds();
    assert_eq!(read(&builds, 0).await.as_deref(), Some("one\n"));
    assert_eq!(read(&builds, 4).await.as_deref(), Some("two\n"));
    // Another reader starts at the beginning.
    assert_eq!(read(&builds, 0).await.as_deref(), Some("one\ntwo\n"));
    let asked = service.asked();
    let tokens: Vec<_> = asked
        .iter()
        .map(|(_, asked)| asked["nextToken"].as_str())
        .collect();
    let expected = [
        None,
        None,
        Some("a"),
        None,
        Some("a"),
        Some("b"),
        None,
        None,
        Some("a"),
    ];
    assert_eq!(tokens, expected);
}

#[tokio::test]
async fn a_large_log_comes_in_parts_that_fit_together() {
    let line = format!("{}\n", "x".repeat(99_999));
    let page = || lines(&[line.as_str(); 5], "a");
    let (_service, aws) = Service::start([known(), page(), known(), page(), lines(&[], "a")]).await;
    let builds = aws.builds();
    let first = read(&builds, 0).await.expect("it is known");
    assert_eq!(first.len(), 256 << 10);
    let rest = read(&builds, 256 << 10).await.expect("it is known");
    assert_eq!(first + &rest, line.repeat(5));
}

#[tokio::test]
async fn a_log_that_has_not_begun_is_empty_and_that_of_no_build_is_none() {
    let mut quiet = described("1", "IN_PROGRESS", &[]);
    quiet["logs"] = json!({ "cloudWatchLogs": { "status": "ENABLED" } });
    for (answers, expected) in [
        (vec![builds(&[])], None),
        (vec![builds(&[quiet])], Some("")),
        (
            vec![known(), refused("ResourceNotFoundException")],
            Some(""),
        ),
    ] {
        let (_service, aws) = Service::start(answers).await;
        assert_eq!(read(&aws.builds(), 0).await.as_deref(), expected);
    }
}
