//! Outputs, secrets, reports, several platforms and parameters that are refused, each with its sentence.

use expect_test::expect;

use super::refused::{check, with_build, with_stages};
use super::*;

#[test]
fn what_only_some_builds_ask_for_is_checked() {
    for (build, expected) in [
        (
            "{outputs: [a/version.json, version.txt]}",
            expect![
                "line 6, column 39: components.a.build.outputs[1]: a/version.json is already the output `version`; rename one of the files"
            ],
        ),
        (
            "{outputs: ['two words.json', ../up.json]}",
            expect![[r#"
                line 6, column 23: components.a.build.outputs[0]: the name of an output is its file name up to the first dot; use only letters, digits, `_` and `-`
                line 6, column 41: components.a.build.outputs[1]: "../up.json" is not a path inside the repository; write a relative path without `..` that does not start with `-` or `~`"#]],
        ),
        (
            "{secrets: {TOKEN: '-x', AWS_KEY: shop/key, 'A B': 'a b'}}",
            expect![[r#"
                line 6, column 30: components.a.build.secrets.TOKEN: "-x" is not a secret's name or ARN, or one followed by `:` and the key of its JSON
                line 6, column 36: components.a.build.secrets.AWS_KEY: this variable changes how the build itself runs and cannot be set; use another name
                line 6, column 55: components.a.build.secrets."A B": a variable's name has letters, digits and `_`, not starting with a digit
                line 6, column 62: components.a.build.secrets."A B": "a b" is not a secret's name or ARN, or one followed by `:` and the key of its JSON"#]],
        ),
        (
            "{secrets: {TOKEN: shop/npm}, env: {TOKEN: plain}}",
            expect![
                "line 6, column 23: components.a.build.secrets.TOKEN: `env` sets this variable too; keep one of them"
            ],
        ),
        (
            "{reports: {'a b': {files: x}, unit: {format: JUNIT}}}",
            expect![[r#"
                line 6, column 23: components.a.build.reports."a b": the name of a report group has only letters, digits, `-` and `_`
                line 6, column 48: components.a.build.reports.unit: `files` is missing: name the files, as in `files: "**/junit.xml"`"#]],
        ),
        (
            "{buildspec: b.yml, reports: {unit: {files: x}}, cache: [a], layer_cache: none}",
            expect![[r#"
                line 6, column 31: components.a.build.reports: only preset docker or make or pack takes this key, and the preset of this build is buildspec; remove the key or change `preset`
                line 6, column 60: components.a.build.cache: only preset docker or make or pack takes this key, and the preset of this build is buildspec; remove the key or change `preset`
                line 6, column 72: components.a.build.layer_cache: only preset docker takes this key, and the preset of this build is buildspec; remove the key or change `preset`"#]],
        ),
        (
            "{layer_cache: s3, container: 'a b'}",
            expect![[r#"
                line 6, column 26: components.a.build.layer_cache: unknown word "s3"; the words are registry, none
                line 6, column 41: components.a.build.container: "a b" is not the name of a container"#]],
        ),
        (
            "{platforms: [linux/amd64, linux/arm64], image: aws/codebuild/standard:7.0}",
            expect![
                "line 6, column 59: components.a.build.image: aws/codebuild/standard:7.0 does not run on linux/arm64; name one for each, as in `image: {linux/arm64: ...}`"
            ],
        ),
        (
            "{platforms: [linux/amd64, linux/arm64], image: {linux/amd64: a/b:1, linux/arm: '-'}}",
            expect![[r#"
                line 6, column 59: components.a.build.image: no image for linux/arm64; add one
                line 6, column 80: components.a.build.image.linux/arm: the build does not have this platform; its platforms are linux/amd64, linux/arm64
                line 6, column 91: components.a.build.image.linux/arm: "-" is not the name of a CodeBuild image"#]],
        ),
        (
            "{image: {linux/amd64: [a]}}",
            expect![[r#"
                line 6, column 20: components.a.build.image: no image for linux/amd64; add one
                line 6, column 34: components.a.build.image.linux/amd64: expected text, found a list"#]],
        ),
    ] {
        check(&with_build(build), &expected);
    }
}

#[test]
fn a_stage_can_only_ask_for_outputs_that_a_build_has() {
    let stages = |value: &str| {
        with_stages(&format!(
            "  - {{name: a, from: build, deploy: {{event: {{parameters: {{Tag: \"{value}\"}}}}}}}}"
        ))
    };
    for (value, expected) in [
        (
            "{output.version.Version}",
            expect![[
                r#"line 5, column 63: stages.a.deploy.event.parameters.Tag: no component has an output "version"; list its file under `outputs` of a build"#
            ]],
        ),
        (
            "{env.NAME}",
            expect![[
                r#"line 5, column 63: stages.a.deploy.event.parameters.Tag: "{env.NAME}" has {env.NAME}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}"#
            ]],
        ),
        (
            "{sha",
            expect![[
                r#"line 5, column 63: stages.a.deploy.event.parameters.Tag: "{sha" has a brace that does not close"#
            ]],
        ),
    ] {
        check(&stages(value), &expected);
    }
    check(
        &with_stages(
            "  - {name: a, from: build, deploy: {event: {parameters: {a b: x, Tag: [x]}}}}",
        ),
        &expect![[r#"
            line 5, column 58: stages.a.deploy.event.parameters."a b": a parameter's name has letters, digits, `_` and `-`
            line 5, column 71: stages.a.deploy.event.parameters.Tag: expected text, found a list"#]],
    );
}

#[test]
fn outputs_of_all_builds_have_room_in_one_run() {
    let list = |name: &str| {
        (0..10)
            .map(|index| format!("{name}{index}.txt"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let platforms = "linux/amd64, linux/arm64, linux/386, linux/arm/v7";
    let text = |more: &str| {
        let build = format!("{{platforms: [{platforms}], outputs: [{}]}}", list("a"));
        format!("{}{more}", with_build(&build))
    };
    read_text(&text(""));
    check(
        &text("  b: {repository: r/b, build: {outputs: one.txt}}\n"),
        &expect![
            "line 7, column 19: components.b.repository: the builds up to this component have 41 outputs, counted once per platform; the limit is 40"
        ],
    );
}

#[test]
fn each_platform_has_an_image_to_build_in() {
    let images = |build: &str| {
        let definition = read_text(&with_build(build));
        let build = definition.components[0].build.clone();
        let images = build
            .platforms
            .iter()
            .map(|platform| build.image_for(platform).to_owned());
        images.collect::<Vec<String>>()
    };
    let own = |arm: &str| ["aws/codebuild/standard:7.0".to_owned(), arm.to_owned()];
    assert_eq!(
        images("{platforms: [linux/amd64, linux/arm64]}"),
        own("aws/codebuild/amazonlinux-aarch64-standard:3.0")
    );
    assert_eq!(
        images("{platforms: [linux/amd64, linux/arm64], image: acme/builder:1}"),
        ["acme/builder:1", "acme/builder:1"]
    );
    assert_eq!(
        images("{platform: linux/arm64, image: acme/arm:1}"),
        ["acme/arm:1"]
    );
}
