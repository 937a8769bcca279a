//! Decides what follows from an image that was read from the registry under a tag: which build made it, who moved
//! the tag, and which run to tell.

use std::time::Duration;

use crate::Timestamp;
use crate::definition::Definition;
use crate::image::{Built, Claim, Image, RegistryImage};
use crate::intent::{AttemptRef, Intent, StageKey};
use crate::ledger::{Mover, TagNow};
use crate::names::{Digest, GitRef, RunId, Tag};
use crate::run::{self, Attempt, Run};
use crate::stage::Stage;

/// How long an image may be missing after its build succeeded, before the attempt fails.
const MISSING: Duration = Duration::from_secs(30);
/// The minimum number of lookups before that.
const FEWEST_LOOKUPS: u32 = 2;

/// An image that was read from the registry.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The owner of the image repository.
    pub claim: &'a Claim,
    /// The tag it was read under.
    pub tag: &'a Tag,
    pub image: &'a RegistryImage,
    /// The digest that the push event named, if an event led here.
    pub said: Option<&'a Digest>,
}

/// One thing to look up before the decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The image in the ledger.
    Image,
    /// The attempt that is expected to push the tag.
    Expected,
    /// The definition that applies to the stages.
    Definition,
    Run(RunId),
    /// Where a tag points.
    Tag(Tag),
    Stage(StageKey),
}

/// The results of looking up; missing things are left out.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// [`Want::Image`].
    pub image: Option<Image>,
    /// [`Want::Expected`].
    pub expected: Option<AttemptRef>,
    /// [`Want::Definition`].
    pub definition: Option<Definition>,
    /// [`Want::Run`].
    pub runs: Vec<Run>,
    /// [`Want::Tag`].
    pub tags: Vec<TagNow>,
    /// [`Want::Stage`].
    pub stage: Option<Stage>,
}

/// The result. The run and each tag are separate items; only the image is in lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The image after it, if it is new or has changed.
    pub image: Option<Image>,
    /// The lists to add it to.
    pub listed: Vec<List>,
    /// A tag for which the image's item has no space.
    pub row: Option<Tag>,
    /// Tags whose state has changed: the one it was found under, and earlier ones of the same build.
    pub tags: Vec<TagNow>,
    /// What to tell the run of the attempt that pushed it.
    pub told: Option<Told>,
}

/// The news of an image for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The attempt that pushed it.
    pub of: AttemptRef,
    /// The digest under the attempt's unique tag.
    pub digest: Digest,
    /// The digest in the push event, if it was another one.
    pub contradicts: Option<Digest>,
}

impl Told {
    /// The fact, to tell the run now.
    #[must_use]
    pub fn fact(&self) -> run::Fact {
        run::Fact::ImageRead {
            attempt: self.of.attempt.clone(),
            digest: self.digest.clone(),
            contradicts: self.contradicts.clone(),
        }
    }

    /// The intent, to tell it later.
    #[must_use]
    pub fn intent(self) -> Intent {
        Intent::ImageRecorded {
            of: self.of,
            digest: self.digest,
            contradicts: self.contradicts,
        }
    }
}

/// A list of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// All images, by digest.
    ByDigest,
    /// Those of its component, by time.
    OfComponent,
    /// Those of its component that were built from one ref, by time.
    OfRef(GitRef),
}

/// Lists what must still be looked up, given what is known. The answers can lead to more, so call this
/// until it asks for nothing new. Looking up something again that was not found does no harm.
#[must_use]
pub fn wants(found: &Found<'_>, known: &Known) -> Vec<Want> {
    let mut wants = vec![
        Want::Image,
        Want::Expected,
        Want::Definition,
        Want::Tag(found.tag.clone()),
    ];
    let expected = known.expected.as_ref().map(|of| &of.run);
    let builder = known.image.as_ref().and_then(|image| image.built.as_ref());
    let runs = expected.into_iter().chain(builder.map(|built| &built.run));
    wants.extend(runs.cloned().map(Want::Run));
    wants.extend(stage_of(found, known).map(Want::Stage));
    if let (Some(_), Some(pushed)) = (&known.image, Pushed::by(found, known)) {
        wants.extend(pushed.other_tags().cloned().map(Want::Tag));
    }
    wants
}

/// The stage whose tag is on an image that no promotion put there.
#[must_use]
pub fn drifted(found: &Found<'_>, known: &Known) -> Option<StageKey> {
    match promoted_by(found, known) {
        Some(_) => None,
        None => stage_of(found, known),
    }
}

/// Whether the ledger has everything that a push event says. The event's consequences are committed
/// before the move of the tag, or together with it.
#[must_use]
pub fn is_recorded(said: &Digest, tag: &Tag, now: Option<&TagNow>, image: Option<&Image>) -> bool {
    now.is_some_and(|now| now.digest == *said)
        && image.is_some_and(|image| image.more_tags || image.tags.contains(tag))
}

/// Decides what follows from the image.
#[must_use]
pub fn of(found: &Found<'_>, known: &Known, now: Timestamp) -> Recorded {
    let pushed = Pushed::by(found, known);
    let own = pushed.as_ref().filter(|pushed| pushed.is_evidence(found));
    let mut recorded = Recorded::default();
    enter(found, known, own, now, &mut recorded);
    let mover = promoted_by(found, known)
        .or_else(|| own.map(Pushed::mover))
        .unwrap_or_else(|| built_under(found, known));
    let place = (&found.claim.images, found.tag);
    let before = known.tags.iter().find(|known| known.tag == *found.tag);
    let moved = TagNow::moved(before, place, &found.image.digest, mover, now);
    recorded.tags.extend(moved);
    recorded.tags.extend(
        own.into_iter()
            .flat_map(|own| own.own_earlier(found, known)),
    );
    // The run is also told of a foreign image, because during the attempt such an image contradicts the
    // evidence.
    if let Some(pushed) = &pushed {
        let contradicts = found.said.filter(|said| **said != found.image.digest);
        recorded.told = Some(Told {
            of: pushed.of.clone(),
            digest: found.image.digest.clone(),
            contradicts: contradicts.cloned(),
        });
    }
    recorded
}

/// Whether a successful build has pushed nothing: its tag was looked up often enough, and for long enough.
#[must_use]
pub fn is_missing(lookups: u32, since: Timestamp, now: Timestamp) -> bool {
    lookups >= FEWEST_LOOKUPS && now >= since + MISSING
}

/// The image with these further tags, unless it has them all, and those that become rows.
#[must_use]
pub fn with_tags<'a>(image: &Image, tags: &'a [Tag]) -> (Option<Image>, Vec<&'a Tag>) {
    let mut after = image.clone();
    let rows = tags.iter().filter(|tag| after.add_tag(tag)).collect();
    ((after != *image).then_some(after), rows)
}

/// The attempt that is expected to push the tag: only its unique tag is evidence.
struct Pushed<'a> {
    of: &'a AttemptRef,
    run: &'a Run,
    attempt: &'a Attempt,
}

impl<'a> Pushed<'a> {
    fn by(found: &Found<'_>, known: &'a Known) -> Option<Self> {
        let of = known.expected.as_ref()?;
        let run = known.runs.iter().find(|run| run.id == of.run)?;
        let (_, _, attempt) = run.attempt(&of.attempt)?;
        // A row left by a plan that was not committed leads to an attempt with another tag.
        (attempt.unique_tag == *found.tag).then_some(Self { of, run, attempt })
    }

    /// Whether the image is the attempt's own: the first one under its tag, and before the attempt
    /// ended. Any other image was put there by somebody else, or cannot be told apart from such an
    /// image.
    fn is_evidence(&self, found: &Found<'_>) -> bool {
        match &self.attempt.image {
            Some(own) => *own == found.image.digest,
            None => !self.attempt.state.is_terminal(),
        }
    }

    fn mover(&self) -> Mover {
        Mover::Build {
            run: self.run.id.clone(),
            number: self.attempt.build_number,
        }
    }

    fn built(&self, claim: &Claim) -> Built {
        Built {
            source: claim.repository,
            component: self.of.component.clone(),
            commit: self.run.key.commit.clone(),
            git_ref: self.run.key.git_ref.clone(),
            run: self.run.id.clone(),
            build_number: self.attempt.build_number,
        }
    }

    fn other_tags(&self) -> impl Iterator<Item = &'a Tag> {
        let unique = &self.attempt.unique_tag;
        let tags = self.attempt.tags.iter();
        tags.filter(move |tag| *tag != unique)
    }

    /// A build may push its other tags before its unique one. Until then, those looked like somebody
    /// else's.
    fn own_earlier(&self, found: &Found<'_>, known: &Known) -> Vec<TagNow> {
        let is_own = |now: &&TagNow| {
            now.tag != *found.tag
                && self.other_tags().any(|tag| *tag == now.tag)
                && now.digest == found.image.digest
                && now.by == Mover::Outside
                && now.since >= self.attempt.due_at
        };
        let own = known.tags.iter().filter(is_own);
        own.map(|now| TagNow {
            by: self.mover(),
            ..now.clone()
        })
        .collect()
    }
}

/// The stage of the component that has this tag.
fn stage_of(found: &Found<'_>, known: &Known) -> Option<StageKey> {
    let mut stages = known.definition.as_ref()?.stages.iter();
    let rule = stages.find(|rule| rule.tags.contains(found.tag))?;
    Some(StageKey {
        repository: found.claim.repository,
        component: found.claim.component.clone(),
        stage: rule.name.clone(),
    })
}

/// The promotion that put a stage's tag on this digest, if one did or is doing so.
fn promoted_by(found: &Found<'_>, known: &Known) -> Option<Mover> {
    let key = stage_of(found, known)?;
    let stage = known.stage.as_ref().filter(|stage| stage.key == key)?;
    let digest = &found.image.digest;
    let mut acting = stage.waiting.iter().filter(|known| known.acting);
    let acting = acting.find(|known| known.candidate.digest == *digest);
    if let Some(promotion) = acting {
        return Some(Mover::Promotion {
            number: promotion.number,
            by: promotion.by.clone(),
        });
    }
    let live = stage.pointer.as_ref();
    let live = live.filter(|pointer| pointer.candidate.digest == *digest)?;
    Some(Mover::Promotion {
        number: live.promotion,
        by: live.by.clone(),
    })
}

/// Who put another tag on an image: the build that made it, if that tag is one of its own.
fn built_under(found: &Found<'_>, known: &Known) -> Mover {
    let Some(built) = known.image.as_ref().and_then(|image| image.built.as_ref()) else {
        return Mover::Outside;
    };
    let run = known.runs.iter().find(|run| run.id == built.run);
    let component = run.and_then(|run| run.components.get(&built.component));
    let attempts = component.map(|known| known.attempts.as_slice());
    let pushes_it = |attempt: &Attempt| {
        attempt.build_number == built.build_number && attempt.tags.contains(found.tag)
    };
    match attempts.unwrap_or_default().iter().any(pushes_it) {
        true => Mover::Build {
            run: built.run.clone(),
            number: built.build_number,
        },
        false => Mover::Outside,
    }
}

/// Adds the image to the ledger, or its new tag.
fn enter(
    found: &Found<'_>,
    known: &Known,
    pushed: Option<&Pushed<'_>>,
    now: Timestamp,
    recorded: &mut Recorded,
) {
    let before = known.image.as_ref();
    let mut image = before.cloned().unwrap_or_else(|| Image {
        repository: found.claim.images.clone(),
        digest: found.image.digest.clone(),
        media_type: found.image.media_type.clone(),
        size: found.image.size,
        platforms: found.image.platforms.clone(),
        at: now,
        built: None,
        tags: Vec::new(),
        more_tags: false,
    });
    if image.add_tag(found.tag) {
        recorded.row = Some(found.tag.clone());
    }
    // If the same bytes are built again, the newest build counts, unless it makes them a part of a
    // larger image. Such a part is of no use alone, so it is in no list of its component.
    let is_part = pushed.is_some_and(|pushed| pushed.attempt.platform.is_some());
    let built = pushed.map(|pushed| pushed.built(found.claim));
    let number = |built: Option<&Built>| built.map_or(0, |built| built.build_number);
    if number(built.as_ref()) > number(image.built.as_ref()) && !(is_part && image.built.is_some())
    {
        image.built = built;
    }
    if before == Some(&image) {
        return;
    }
    // The image has been in the other lists since it was new. Only a build of another ref adds a list,
    // or the first build that does not make the image a part.
    let is_built_anew = before.is_none_or(|before| before.built != image.built);
    if before.is_none() {
        recorded.listed.push(List::ByDigest);
    }
    if is_built_anew && !is_part {
        recorded.listed.push(List::OfComponent);
        let built = image.built.iter();
        let of_ref = built.map(|built| List::OfRef(built.git_ref.clone()));
        recorded.listed.extend(of_ref);
    }
    recorded.image = Some(image);
}
