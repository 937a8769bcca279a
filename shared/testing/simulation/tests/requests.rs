//! Counts the requests of one run to AWS and GitHub, so that none is unnecessary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::expect;
use towline_answers::{Command, command};
use towline_simulation::World;
use towline_simulation::shop::DEFINITION;

/// Counters that are not requests to AWS: requests to GitHub, and measures of a request.
const NO_REQUEST: [&str; 10] = [
    "(writes)",
    "(write units)",
    "(index units)",
    "POST a status",
    "get a file",
    "compare",
    "get a ref",
    "get a commit",
    "admit",
    "ListBuildsForProject",
];

/// A build, two stages, one approval; statuses beside the commit and the deployer's event included.
#[test]
fn what_one_run_asks_for() {
    let mut world = World::quiet();
    world.chance.weigh();
    let definition = DEFINITION.replace("min: 2", "min: 1");
    world.push_files("main", "first", &[(".towline.yml", definition.as_str())]);
    world.settle();
    drop(world.chance.take_requests());
    world.push("main", "second", &["backend/main.rs"]);
    expect![[r#"
        advance-stages: (index units) 3, (write units) 9, (writes) 6, announce 1, get 2, get many 2, put rows 1, transact 2
        answer-chat: (index units) 2, (write units) 2, (writes) 2, announce 1, get many 1, put rows 1, query 1, transact 1
        deploy-images: (index units) 0, (write units) 1, (writes) 1, announce 1, get many 1, transact 1
        plan-runs: (index units) 2, (write units) 11, (writes) 8, announce 1, compare 2, get 1, get a file 1, get a ref 1, get many 2, put rows 1, transact 3
        promote-images: (index units) 0, (write units) 24, (writes) 17, DescribeImages 2, PutImage 2, announce 2, get a ref 2, get many 2, put rows 2, transact 5
        receive-github: (index units) 1, (write units) 1, (writes) 1, admit 1, announce 1, get many 1, transact 1
        record-images: (index units) 2, (write units) 14, (writes) 9, DescribeImages 2, get 4, get many 4, put rows 2, transact 2
        report-status: (index units) 3, (write units) 4, (writes) 4, POST a status 6, get many 8, query 1, transact 4
        start-builds: (index units) 0, (write units) 2, (writes) 2, StartBuild 1, announce 1, get many 1, put rows 1, transact 1
        74 requests to AWS, 68 write units and 13 of the index
    "#]].assert_eq(&to_prod(&mut world));
}

/// As above, of a repository of one component that has never pushed.
#[test]
fn what_the_first_run_asks_for() {
    let mut world = World::quiet();
    world.chance.weigh();
    let lines = DEFINITION.lines();
    let before = lines.clone().take_while(|line| *line != "  web:");
    let after = lines.skip_while(|line| *line != "stages:");
    let definition: Vec<&str> = before.chain(after).collect();
    let definition = definition.join("\n").replace("min: 2", "min: 1");
    world.push_files("main", "first", &[(".towline.yml", definition.as_str())]);
    expect![[r#"
        advance-stages: (index units) 3, (write units) 9, (writes) 6, announce 1, get 2, get many 2, put rows 1, transact 2
        answer-chat: (index units) 2, (write units) 2, (writes) 2, announce 1, get many 1, put rows 1, query 1, transact 1
        deploy-images: (index units) 0, (write units) 1, (writes) 1, announce 1, get many 1, transact 1
        plan-runs: (index units) 2, (write units) 21, (writes) 15, announce 1, get 1, get a file 1, get many 2, put rows 1, transact 3
        promote-images: (index units) 1, (write units) 21, (writes) 14, DescribeImages 2, PutImage 2, announce 2, get a ref 2, get many 2, put rows 2, transact 5
        receive-github: (index units) 1, (write units) 4, (writes) 2, admit 1, announce 1, get many 1, transact 1
        record-images: (index units) 2, (write units) 13, (writes) 8, DescribeImages 2, get 4, get many 4, put rows 1, transact 2
        report-status: (index units) 3, (write units) 4, (writes) 4, POST a status 5, get many 8, transact 4
        start-builds: (index units) 0, (write units) 2, (writes) 2, StartBuild 1, announce 1, get many 1, put rows 1, transact 1
        72 requests to AWS, 77 write units and 14 of the index
    "#]].assert_eq(&to_prod(&mut world));
}

/// Takes a push all the way, and returns the requests since the last count.
fn to_prod(world: &mut World) -> String {
    // Nothing is lost here, and what the sweep causes, also in other functions, belongs to no run.
    world.withheld.sweeps = true;
    world.pass(Duration::from_secs(300));
    let waiting = world.watch.look(|known| {
        let stages = known.stages.values();
        let all = stages.flat_map(|stage| &stage.waiting);
        all.map(|promotion| promotion.number).max()
    });
    world.ask(
        "lee",
        Command::Approve(command::Approve {
            promotion: waiting.expect("prod waits for its approval"),
            comment: None,
            repository: None,
        }),
    );
    world.pass(Duration::from_secs(5));
    let mut requests = world.chance.take_requests();
    requests.retain(|(function, _), _| function != "sweep");
    let total = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        let counted = requests.iter().filter(|((_, what), _)| wanted(what));
        counted.map(|(_, many)| many).sum()
    };
    let aws = total(&|what| !NO_REQUEST.contains(&what));
    let mut text = String::new();
    let mut by_function: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((function, what), many) in &requests {
        let line = format!("{what} {many}");
        by_function.entry(function).or_default().push(line);
    }
    for (function, lines) in by_function {
        let _ = writeln!(text, "{function}: {}", lines.join(", "));
    }
    let units = total(&|what| what == "(write units)");
    let index = total(&|what| what == "(index units)");
    let _ = writeln!(
        text,
        "{aws} requests to AWS, {units} write units and {index} of the index"
    );
    text
}
