//! Which ended builds are kept, and for how long.

use super::*;

const LEAVES_ARTIFACTS: &str = "version: 0.2
phases: {build: {commands: ['echo number $CODEBUILD_BUILD_NUMBER']}}
artifacts: {files: [hello.txt]}
";

async fn keeping(keep: usize, concurrency: usize) -> World {
    World::with(concurrency, |config, _| config.keep = keep).await
}

fn id(number: u32) -> BuildId {
    let id = format!("towline-acme-shop-web:{}", attempt(number));
    id.parse().unwrap()
}

impl World {
    /// The numbers of the builds that are known, after checking that files are kept of just those.
    async fn kept(&self, upto: u32) -> Vec<u32> {
        let mut kept = Vec::new();
        for number in 1..=upto {
            let build = id(number);
            let known = self.runner.get(&build).await.unwrap().is_some();
            let log = self.runner.log(&build, 0).await.unwrap();
            assert_eq!(log.is_some(), known, "the log of {number}");
            let artifacts = self.runner.artifacts(&build).await.unwrap();
            assert!(artifacts.is_none() || known, "the artifacts of {number}");
            let files = [
                format!("data/logs/{}.log", attempt(number)),
                format!("data/artifacts/{}", attempt(number)),
            ];
            for file in files {
                assert!(known || !self.path(&file).exists(), "{file}");
            }
            kept.extend(known.then_some(number));
        }
        kept
    }

    /// Waits until exactly these are kept, because removal happens after the end of a build.
    async fn keeps(&self, upto: u32, expected: &[u32]) {
        let tidy = async {
            loop {
                let ids = self.runner.inner.database.call("reading", |transaction| {
                    let mut select = transaction.prepare("SELECT id FROM builds")?;
                    let ids = select.query_map((), |row| row.get::<_, String>(0))?;
                    Ok(ids.collect::<Result<Vec<_>, _>>()?)
                });
                let ids = ids.await.unwrap();
                if ids.len() == expected.len() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, tidy).await.expect("old builds are removed");
        assert_eq!(self.kept(upto).await, expected);
    }
}

#[tokio::test]
async fn only_the_builds_that_ended_last_are_kept() {
    let world = keeping(2, 1).await;
    for number in 1..=4 {
        let build = world.start(number, LEAVES_ARTIFACTS).await;
        world.end(&build).await;
    }
    world.keeps(4, &[3, 4]).await;
    let artifacts = world.runner.artifacts(&id(4)).await.unwrap().unwrap();
    let kept = fs::read_to_string(artifacts.join("main/hello.txt"));
    assert_eq!(kept.unwrap(), "hello\n");
    // Numbers continue after the removed builds.
    let log = world.log(&id(4)).await;
    assert!(log.contains("\nnumber 4\n"), "{log}");
}

#[tokio::test]
async fn builds_that_wait_or_run_are_kept_however_old() {
    let world = keeping(1, 2).await;
    let gate = world.path("gate");
    let held = format!(
        "version: 0.2
phases: {{build: {{commands: ['echo here > {out}; until [ -e {gate} ]; do sleep 0.01; done']}}}}
",
        out = world.path("out").display(),
        gate = gate.display()
    );
    let oldest = world.start(1, &held).await;
    appears(&world.path("out")).await;
    for number in 2..=4 {
        let build = world.start(number, LEAVES_ARTIFACTS).await;
        world.end(&build).await;
    }
    world.keeps(4, &[1, 4]).await;
    // One runs beside the oldest, one waits, and one that waited is stopped.
    let blocking = world.start(5, &held.replace("/out;", "/two;")).await;
    appears(&world.path("two")).await;
    let waiting = world.start(6, LEAVES_ARTIFACTS).await;
    let stopped = world.start(7, LEAVES_ARTIFACTS).await;
    world.runner.stop(&stopped).await.unwrap();
    world.keeps(7, &[1, 5, 6, 7]).await;
    fs::create_dir(gate).unwrap();
    for build in [oldest, blocking, waiting] {
        // It may be removed as soon as another one ends.
        let gone = async {
            loop {
                match world.runner.get(&build).await.unwrap() {
                    Some(report) if report.status == BuildStatus::InProgress => {}
                    _ => return,
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, gone).await.expect("the build ends");
    }
    let last = world.start(8, LEAVES_ARTIFACTS).await;
    world.end(&last).await;
    world.keeps(8, &[8]).await;
}
