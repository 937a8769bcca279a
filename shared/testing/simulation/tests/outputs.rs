//! Stories about the outputs of a build in the deployment of its image.

use expect_test::{Expect, expect};
use towline_simulation::World;
use towline_simulation::shop::DEFINITION;

/// The shop whose web has an output, which staging passes like this.
fn definition(parameter: &str) -> String {
    let build = r#"tags: ["{sha}-{build_uuid}"], outputs: dist/version.json}"#;
    let event = format!(
        r#"{{name: staging, from: build, deploy: {{event: {{parameters: {{Ref: "{{branch_slug}}", Tag: "{parameter}"}}}}}}}}"#
    );
    DEFINITION
        .replacen(r#"tags: ["{sha}-{build_uuid}"]}"#, build, 1)
        .replacen("{name: staging, from: build}", &event, 1)
}

/// The events for other deployers, one per line, and the state of everything.
fn check(world: &World, expected: &Expect) {
    let lines = world.promoted.iter().map(|promoted| {
        let parameters = promoted.parameters.iter().map(|(name, value)| {
            let value: String = value.chars().skip_while(char::is_ascii_hexdigit).collect();
            format!(
                " {name}={}",
                value.split('-').take(3).collect::<Vec<_>>().join("-")
            )
        });
        let parameters: String = parameters.collect();
        format!("{}/{}:{parameters}\n", promoted.component, promoted.stage)
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.dedup();
    expected.assert_eq(&format!("{}{}", lines.concat(), world.view()));
}

#[test]
fn b17_what_a_build_has_left_is_handed_to_the_deployment_of_its_image() {
    let mut world = World::quiet();
    world.push_files(
        "main",
        "first",
        &[(".towline.yml", &definition("{output.version.tag}"))],
    );
    world.settle();
    check(
        &world,
        &expect![[r#"
        backend/staging: Ref=main
        web/staging: Ref=main Tag=-b00fa888-d275
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
    "#]],
    );
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}

#[test]
fn an_image_whose_build_has_not_left_what_is_asked_for_is_not_promoted() {
    let mut world = World::quiet();
    world.push_files(
        "main",
        "first",
        &[(".towline.yml", &definition("{output.version.lost}"))],
    );
    world.settle();
    check(
        &world,
        &expect![[r#"
        backend/staging: Ref=main
        main first: backend succeeded; web succeeded
        backend/prod: nothing; first has 0 of 2 yes
        backend/staging: first
        web/staging: nothing
    "#]],
    );
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
    let rows = world.watch.look(|known| format!("{:?}", known.rows));
    for part in ["NoValue", "version.lost"] {
        assert!(rows.contains(part), "the stage does not show why: {rows}");
    }
}
