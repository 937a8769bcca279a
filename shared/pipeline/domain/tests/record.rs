//! `record::of` push by push: whose image it is, who moved the tag, where it is listed, and who is told.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;

use std::collections::BTreeMap;

use common::{at, candidate, digest, good, new_run, new_run_in_parts, new_stage, number_of, rule};
use expect_test::{Expect, expect};
use towline_domain::definition::Definition;
use towline_domain::image::{Claim, Image, MOST_TAGS, RegistryImage};
use towline_domain::intent::AttemptRef;
use towline_domain::ledger::{Mover, TagNow};
use towline_domain::names::{Digest, GitRef, RepositoryId, RunId, Tag};
use towline_domain::person::Actor;
use towline_domain::record::{self, Found, Known, List, Want};
use towline_domain::rights::Rights;
use towline_domain::run::{Attempt, AttemptState, Run, RunKey};
use towline_domain::stage::{Pointer, Promotion, Stage};

/// What the store holds.
struct World {
    images: BTreeMap<u64, Image>,
    tags: BTreeMap<Tag, TagNow>,
    expected: BTreeMap<Tag, AttemptRef>,
    runs: BTreeMap<RunId, Run>,
    stage: Stage,
    definition: Definition,
}

/// Each line of the script changes what the store holds, or is a push that was read from the registry:
///
/// - `build 1 pushes a-1 latest`: build#1 of main is expected to push these, the first being its own;
///   `build 1 of side pushes ..` is of another branch, and `build 1 in parts` has two platforms;
/// - `build 1 made 1`, `build 1 failed`: it has ended, with this image or without one;
/// - `promoting 1`, `live 1`: the stage prod, whose tag is `prod`, acts on image 1 or has it;
/// - `1 as latest`, or `1 as latest, said 2`: the registry holds image 1 under the tag; the event said 2.
///
/// The answer to a push is what changes, and only what was wanted was known.
fn check(script: &str, expect: Expect) {
    let mut world = World::new();
    let mut text = String::new();
    for (second, line) in (1..).zip(script.lines().map(str::trim)) {
        if let Some(answer) = world.take(line, second) {
            text += &format!("{line} -> {answer}\n");
        }
    }
    expect.assert_eq(&text);
}

fn claim() -> Claim {
    Claim {
        repository: RepositoryId(7),
        component: good("backend"),
        images: good("acme/backend"),
        released: false,
    }
}

fn read(image: u64) -> RegistryImage {
    RegistryImage {
        digest: digest(image),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        size: None,
        platforms: Vec::new(),
    }
}

impl World {
    fn new() -> Self {
        let definition = Definition {
            pipeline: good("shop"),
            source: Default::default(),
            components: Vec::new(),
            stages: vec![rule("auto")],
            rights: Rights::default(),
            not_executed: Vec::new(),
        };
        Self {
            images: BTreeMap::new(),
            tags: BTreeMap::new(),
            expected: BTreeMap::new(),
            runs: BTreeMap::new(),
            stage: new_stage(),
            definition,
        }
    }

    fn take(&mut self, line: &str, second: u64) -> Option<String> {
        let words: Vec<&str> = line
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .collect();
        match words.as_slice() {
            ["build", number, "in", "parts"] => self.build(good(number), "main", &[]),
            ["build", number, "of", branch, "pushes", tags @ ..] => {
                self.build(good(number), branch, tags);
            }
            ["build", number, "pushes", tags @ ..] => self.build(good(number), "main", tags),
            ["build", number, "made", image] => self.made(good(number), good(image)),
            ["build", number, "failed"] => self.end(good(number), None),
            ["promoting", image] => self.stage.waiting = vec![promotion(good(image))],
            ["live", image] => {
                self.stage.waiting = Vec::new();
                self.stage.pointer = Some(pointer(good(image)));
            }
            [image, "as", tag] => return Some(self.push(good(image), &good(tag), None, second)),
            [image, "as", tag, "said", said] => {
                return Some(self.push(good(image), &good(tag), Some(good(said)), second));
            }
            _ => panic!("{line:?} is no line of a script"),
        }
        None
    }

    fn build(&mut self, number: u64, branch: &str, tags: &[&str]) {
        let mut run = match tags.is_empty() {
            true => new_run_in_parts(),
            false => new_run(),
        };
        run.key = RunKey {
            git_ref: GitRef::Branch(branch.into()),
            commit: good(&format!("{number:x}").repeat(40)[..40]),
            ..run.key
        };
        run.id = run.key.id();
        let component = run.components.values_mut().next().expect("its component");
        let attempt = &mut component.attempts[0];
        attempt.build_number = number;
        for part in &mut attempt.parts {
            part.build_number = number;
        }
        if let Some(first) = tags.first() {
            attempt.unique_tag = good(first);
            attempt.tags = tags.iter().map(|tag| good(tag)).collect();
        }
        for part in attempt.all().collect::<Vec<&Attempt>>() {
            let of = AttemptRef {
                run: run.id.clone(),
                component: good("backend"),
                attempt: part.id.clone(),
            };
            self.expected.insert(part.unique_tag.clone(), of);
        }
        self.runs.insert(run.id.clone(), run);
    }

    fn made(&mut self, number: u64, image: u64) {
        self.end(number, Some(digest(image)));
    }

    fn end(&mut self, number: u64, image: Option<Digest>) {
        let components = self
            .runs
            .values_mut()
            .flat_map(|run| run.components.values_mut());
        let mut attempts = components.flat_map(|component| &mut component.attempts);
        let attempt = attempts.find(|attempt| attempt.build_number == number);
        let attempt = attempt.expect("a build of the script");
        attempt.state = match image {
            Some(_) => AttemptState::Succeeded,
            None => AttemptState::Cancelled { by: Actor::System },
        };
        attempt.image = image;
    }

    fn push(&mut self, image: u64, tag: &Tag, said: Option<u64>, second: u64) -> String {
        let (claim, read) = (claim(), read(image));
        let said = said.map(digest);
        let found = Found {
            claim: &claim,
            tag,
            image: &read,
            said: said.as_ref(),
        };
        let known = self.known(&found);
        let recorded = record::of(&found, &known, at(second));
        let mut parts = Vec::new();
        if let Some(key) = record::drifted(&found, &known) {
            parts.push(format!("{} drifted", key.stage));
        }
        if let Some(image) = recorded.image {
            let by = image.built.as_ref();
            let by = by.map_or("outside".into(), |built| {
                format!("build#{}", built.build_number)
            });
            let tags: Vec<&str> = image.tags.iter().map(Tag::as_str).collect();
            let (image_number, tags) = (number_of(&image.digest), tags.join(" "));
            parts.push(format!("image {image_number} by {by} has {tags}"));
            self.images.insert(image_number, image);
        }
        parts.extend(recorded.listed.iter().map(list_text));
        for now in recorded.tags {
            let (on, place) = (number_of(&now.digest), now.sequence);
            parts.push(format!(
                "{} on {on} by {}, move {place}",
                now.tag,
                mover_text(&now.by)
            ));
            self.tags.insert(now.tag.clone(), now);
        }
        if let Some(told) = recorded.told {
            let run = &self.runs[&told.of.run];
            let (_, _, attempt) = run.attempt(&told.of.attempt).expect("it is the run's");
            let contradicts = told.contradicts.as_ref().map(number_of);
            let contradicts = contradicts.map(|said| format!(", not {said}"));
            let (name, on) = (attempt.name(), number_of(&told.digest));
            parts.push(format!(
                "{name} told of {on}{}",
                contradicts.unwrap_or_default()
            ));
        }
        match parts.is_empty() {
            true => "nothing".into(),
            false => parts.join("; "),
        }
    }

    /// Looks up what is wanted and nothing else, until nothing more is.
    fn known(&self, found: &Found<'_>) -> Known {
        let mut known = Known::default();
        let mut asked = 0;
        loop {
            let wants = record::wants(found, &known);
            if wants.len() == asked {
                return known;
            }
            asked = wants.len();
            known = Known::default();
            for want in wants {
                match want {
                    Want::Image => {
                        known.image = self.images.get(&number_of(&found.image.digest)).cloned();
                    }
                    Want::Expected => known.expected = self.expected.get(found.tag).cloned(),
                    Want::Definition => known.definition = Some(self.definition.clone()),
                    Want::Run(id) => known.runs.extend(self.runs.get(&id).cloned()),
                    Want::Tag(tag) => known.tags.extend(self.tags.get(&tag).cloned()),
                    Want::Stage(key) => {
                        assert_eq!(key, self.stage.key);
                        known.stage = Some(self.stage.clone());
                    }
                }
            }
        }
    }
}

fn promotion(image: u64) -> Promotion {
    Promotion {
        number: 40 + image,
        candidate: candidate(image),
        rollback: false,
        by: Actor::System,
        reason: None,
        at: at(0),
        expires_at: None,
        gates: Vec::new(),
        loosening: None,
        overridden: false,
        approvals: Vec::new(),
        acting: true,
        obstacle: None,
        unchecked: None,
    }
}

fn pointer(image: u64) -> Pointer {
    Pointer {
        version: 1,
        candidate: candidate(image),
        promotion: 40 + image,
        by: Actor::System,
        rollback: false,
        reason: None,
        since: at(0),
    }
}

fn mover_text(mover: &Mover) -> String {
    match mover {
        Mover::Build { number, .. } => format!("build#{number}"),
        Mover::Promotion { number, .. } => format!("promotion #{number}"),
        Mover::Outside => "somebody outside".into(),
    }
}

fn list_text(list: &List) -> String {
    match list {
        List::ByDigest => "listed by digest".into(),
        List::OfComponent => "listed for its component".into(),
        List::OfRef(git_ref) => format!("listed for {}", git_ref.name()),
    }
}

#[test]
fn an_image_under_the_tag_of_an_attempt_is_that_attempts() {
    check(
        "build 1 pushes a-1 latest
         1 as a-1
         1 as a-1
         1 as latest",
        expect![[r#"
            1 as a-1 -> image 1 by build#1 has a-1; listed by digest; listed for its component; listed for main; a-1 on 1 by build#1, move 1; build#1 told of 1
            1 as a-1 -> build#1 told of 1
            1 as latest -> image 1 by build#1 has a-1 latest; latest on 1 by build#1, move 1
        "#]],
    );
}

#[test]
fn a_tag_that_came_before_the_one_that_says_whose_it_is_becomes_the_builds() {
    check(
        "build 1 pushes a-1 latest
         1 as latest
         1 as a-1
         1 as a-1",
        expect![[r#"
            1 as latest -> image 1 by outside has latest; listed by digest; listed for its component; latest on 1 by somebody outside, move 1
            1 as a-1 -> image 1 by build#1 has latest a-1; listed for its component; listed for main; a-1 on 1 by build#1, move 1; latest on 1 by build#1, move 1; build#1 told of 1
            1 as a-1 -> build#1 told of 1
        "#]],
    );
}

#[test]
fn another_tag_on_a_builds_image_is_not_the_builds() {
    check(
        "build 1 pushes a-1
         1 as a-1
         1 as mine",
        expect![[r#"
            1 as a-1 -> image 1 by build#1 has a-1; listed by digest; listed for its component; listed for main; a-1 on 1 by build#1, move 1; build#1 told of 1
            1 as mine -> image 1 by build#1 has a-1 mine; mine on 1 by somebody outside, move 1
        "#]],
    );
}

#[test]
fn an_image_nobody_built_here_is_somebody_elses() {
    check(
        "2 as whatever
         3 as whatever",
        expect![[r#"
            2 as whatever -> image 2 by outside has whatever; listed by digest; listed for its component; whatever on 2 by somebody outside, move 1
            3 as whatever -> image 3 by outside has whatever; listed by digest; listed for its component; whatever on 3 by somebody outside, move 2
        "#]],
    );
}

#[test]
fn s6_a_foreign_image_under_the_tag_of_a_build_is_not_its_image() {
    check(
        "build 1 pushes a-1 latest
         1 as a-1
         build 1 made 1
         2 as a-1
         2 as latest
         1 as a-1
         build 2 pushes b-2
         build 2 failed
         3 as b-2",
        expect![[r#"
            1 as a-1 -> image 1 by build#1 has a-1; listed by digest; listed for its component; listed for main; a-1 on 1 by build#1, move 1; build#1 told of 1
            2 as a-1 -> image 2 by outside has a-1; listed by digest; listed for its component; a-1 on 2 by somebody outside, move 2; build#1 told of 2
            2 as latest -> image 2 by outside has a-1 latest; latest on 2 by somebody outside, move 1
            1 as a-1 -> a-1 on 1 by build#1, move 3; build#1 told of 1
            3 as b-2 -> image 3 by outside has b-2; listed by digest; listed for its component; b-2 on 3 by somebody outside, move 1; build#2 told of 3
        "#]],
    );
}

#[test]
fn s1_an_image_keeps_200_tags_and_more_are_rows() {
    let mut world = World::new();
    for number in 0..MOST_TAGS as u64 {
        world.push(1, &good(&format!("t{number}")), None, number);
    }
    assert_eq!(world.images[&1].tags.len(), MOST_TAGS);
    let more = |world: &mut World, tag: &str| {
        let claim = claim();
        let (tag, image) = (good(tag), read(1));
        let found = Found {
            claim: &claim,
            tag: &tag,
            image: &image,
            said: None,
        };
        let known = world.known(&found);
        let recorded = record::of(&found, &known, at(999));
        if let Some(image) = &recorded.image {
            assert!(image.more_tags && image.tags.len() == MOST_TAGS);
            world.images.insert(1, image.clone());
        }
        recorded.row
    };
    assert_eq!(more(&mut world, "t7"), None);
    assert_eq!(more(&mut world, "t200"), Some(good("t200")));
    assert_eq!(more(&mut world, "t201"), Some(good("t201")));
    let image = &world.images[&1];
    let put = [good("t7"), good("prod")];
    let (_, rows) = record::with_tags(image, &put);
    assert_eq!(rows, [&good::<Tag>("prod")]);
    let now = TagNow {
        repository: good("acme/backend"),
        tag: good("t200"),
        digest: digest(1),
        sequence: 1,
        since: at(0),
        from: None,
        by: Mover::Outside,
    };
    let is_recorded = |said| record::is_recorded(&said, &good("t200"), Some(&now), Some(image));
    assert!(is_recorded(digest(1)) && !is_recorded(digest(2)));
}

#[test]
fn the_run_is_told_when_the_event_said_something_else() {
    check(
        "build 1 pushes a-1
         1 as a-1, said 2
         1 as a-1, said 1",
        expect![[r#"
            1 as a-1, said 2 -> image 1 by build#1 has a-1; listed by digest; listed for its component; listed for main; a-1 on 1 by build#1, move 1; build#1 told of 1, not 2
            1 as a-1, said 1 -> build#1 told of 1
        "#]],
    );
}

#[test]
fn the_same_bytes_built_again_belong_to_the_newest_build() {
    check(
        "build 1 pushes a-1
         build 2 of side pushes b-2
         1 as a-1
         1 as b-2
         1 as a-1",
        expect![[r#"
            1 as a-1 -> image 1 by build#1 has a-1; listed by digest; listed for its component; listed for main; a-1 on 1 by build#1, move 1; build#1 told of 1
            1 as b-2 -> image 1 by build#2 has a-1 b-2; listed for its component; listed for side; b-2 on 1 by build#2, move 1; build#2 told of 1
            1 as a-1 -> build#1 told of 1
        "#]],
    );
}

#[test]
fn the_image_of_one_platform_is_in_no_list_of_its_component() {
    check(
        "build 1 in parts
         build 2 pushes b-2
         1 as aaaaaaa-1-amd64
         2 as aaaaaaa-1
         1 as b-2",
        expect![[r#"
            1 as aaaaaaa-1-amd64 -> image 1 by build#1 has aaaaaaa-1-amd64; listed by digest; aaaaaaa-1-amd64 on 1 by build#1, move 1; build#1 for linux/amd64 told of 1
            2 as aaaaaaa-1 -> image 2 by build#1 has aaaaaaa-1; listed by digest; listed for its component; listed for main; aaaaaaa-1 on 2 by build#1, move 1; build#1 told of 2
            1 as b-2 -> image 1 by build#2 has aaaaaaa-1-amd64 b-2; listed for its component; listed for main; b-2 on 1 by build#2, move 1; build#2 told of 1
        "#]],
    );
    check(
        "build 1 pushes b-1
         build 2 in parts
         1 as b-1
         1 as aaaaaaa-1-arm64",
        expect![[r#"
            1 as b-1 -> image 1 by build#1 has b-1; listed by digest; listed for its component; listed for main; b-1 on 1 by build#1, move 1; build#1 told of 1
            1 as aaaaaaa-1-arm64 -> image 1 by build#1 has b-1 aaaaaaa-1-arm64; aaaaaaa-1-arm64 on 1 by build#2, move 1; build#2 for linux/arm64 told of 1
        "#]],
    );
}

#[test]
fn a_stages_tag_is_moved_by_a_promotion_or_has_drifted() {
    check(
        "build 1 pushes a-1
         1 as a-1
         promoting 1
         1 as prod
         live 1
         1 as prod
         2 as prod
         1 as prod",
        expect![[r#"
            1 as a-1 -> image 1 by build#1 has a-1; listed by digest; listed for its component; listed for main; a-1 on 1 by build#1, move 1; build#1 told of 1
            1 as prod -> image 1 by build#1 has a-1 prod; prod on 1 by promotion #41, move 1
            1 as prod -> nothing
            2 as prod -> prod drifted; image 2 by outside has prod; listed by digest; listed for its component; prod on 2 by somebody outside, move 2
            1 as prod -> prod on 1 by promotion #41, move 3
        "#]],
    );
}

#[test]
fn an_image_is_missing_after_two_lookups_and_thirty_seconds() {
    assert!(!record::is_missing(1, at(0), at(60)));
    assert!(!record::is_missing(2, at(0), at(29)));
    assert!(record::is_missing(2, at(0), at(30)));
}
