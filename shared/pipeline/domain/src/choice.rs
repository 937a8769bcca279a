//! Decides which image a person's promotion or rollback uses.

use crate::image::{Candidate, Image};
use crate::intent::StageKey;
use crate::names::{Digest, StageName};
use crate::run::Run;
use crate::stage::{Pointer, Refusal};

/// An image as a candidate, without the contributions of its ref: Towline built it, with all the evidence
/// (I6, I7). `run` is the run that built it.
///
/// # Errors
/// When the image may enter no stage, and why.
pub fn candidate(image: &Image, run: Option<&Run>) -> Result<Candidate, Refusal> {
    let Some(built) = &image.built else {
        let digest = image.digest.clone();
        return Err(Refusal::NotBuilt { digest });
    };
    let attempt = run.and_then(|run| {
        let component = run.components.get(&built.component)?;
        let mut attempts = component.attempts.iter();
        attempts.find(|attempt| attempt.build_number == built.build_number)
    });
    let mut parts = attempt.iter().flat_map(|attempt| &attempt.parts);
    if let Some(part) = parts.find(|part| part.image.as_ref() == Some(&image.digest)) {
        return Err(Refusal::OnePlatform {
            digest: image.digest.clone(),
            part: part.name(),
            build: part.build_number,
        });
    }
    let candidate = run.zip(attempt);
    let candidate = candidate.and_then(|(run, attempt)| run.candidate(&built.component, attempt));
    let candidate = candidate.filter(|candidate| candidate.digest == image.digest);
    candidate.ok_or_else(|| Refusal::NotSucceeded {
        build: built.build_number,
        commit: built.commit.clone(),
    })
}

/// Checks that a candidate has been live in the stage it must come from. `history` is what was live there.
///
/// # Errors
/// When it was never live there.
pub fn check_origin(
    candidate: &Candidate,
    origin: &StageName,
    history: &[Pointer],
    stage: &StageName,
) -> Result<(), Refusal> {
    match was_live(history, &candidate.digest) {
        Some(_) => Ok(()),
        None => Err(Refusal::NotFromOrigin {
            commit: candidate.commit.clone(),
            origin: origin.clone(),
            stage: stage.clone(),
        }),
    }
}

/// The image to roll back to: the one with this digest, or without one, the one that was live before the
/// current one, skipping images that a rollback left. `history` is what was live in the stage, newest first.
///
/// # Errors
/// When there is none.
pub fn to_roll_back_to(
    digest: Option<&Digest>,
    history: &[Pointer],
    key: &StageKey,
) -> Result<Candidate, Refusal> {
    if let Some(digest) = digest {
        let known = was_live(history, digest);
        return known.ok_or_else(|| Refusal::NeverLive {
            digest: digest.clone(),
            component: key.component.clone(),
            stage: key.stage.clone(),
        });
    }
    let Some(live) = history.first() else {
        return Err(Refusal::NothingLive {
            component: key.component.clone(),
            stage: key.stage.clone(),
        });
    };
    let mut older = history.iter();
    let older = older.find(|pointer| pointer.candidate.order < live.candidate.order);
    match older {
        Some(pointer) => Ok(pointer.candidate.clone()),
        None => Err(Refusal::NothingOlder {
            commit: live.candidate.commit.clone(),
            stage: key.stage.clone(),
        }),
    }
}

fn was_live(history: &[Pointer], digest: &Digest) -> Option<Candidate> {
    let mut history = history.iter();
    let found = history.find(|pointer| pointer.candidate.digest == *digest)?;
    Some(found.candidate.clone())
}
