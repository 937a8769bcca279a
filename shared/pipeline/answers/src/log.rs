//! Answers questions about the log of a build, part by part.

use towline_domain::names::BuildId;
use towline_domain::run::Attempt;
use towline_ports::Builds;
use towline_state::Context;

use super::answers::Answer;
use super::query::Log;
use super::{ChatError, Refusal, Thing, lookup, refused};

/// The log of a build for several platforms is the logs of all platforms, one after another. The bits
/// of a position from this one on say which platform.
const PART: u32 = 40;

/// A part of a build's log.
pub(super) async fn part(
    context: Context<'_>,
    builds: &dyn Builds,
    query: Log,
) -> Result<Answer, ChatError> {
    let (of, run) = lookup::build(context, query.build, query.repository.as_ref()).await?;
    let Some((_, _, attempt)) = run.attempt(&of.attempt) else {
        return refused(Refusal::NotFound {
            thing: Thing::Build(query.build),
            repository: query.repository,
        });
    };
    let parts: Vec<&Attempt> = attempt.builds().collect();
    let mut from = query.from.unwrap_or(0);
    loop {
        let position = usize::try_from(from >> PART).unwrap_or(usize::MAX);
        let at = from & ((1 << PART) - 1);
        let part = *parts.get(position).unwrap_or(&attempt);
        let ended = part.state.is_terminal() || part.build_succeeded;
        let bytes = match &part.build {
            Some(build) => bytes_of(builds, build, at).await?,
            None if ended && parts.len() == 1 => {
                return refused(Refusal::NoLog(Box::new(part.clone())));
            }
            None => Vec::new(),
        };
        let is_last = position + 1 >= parts.len();
        if ended && bytes.is_empty() && !is_last {
            from = (position as u64 + 1) << PART;
            continue;
        }
        let begins = at == 0 && !bytes.is_empty();
        let heading = part.platform.iter().filter(|_| begins);
        let heading: String = heading.map(|platform| format!("[{platform}]\n")).collect();
        return Ok(Answer::Log {
            build: query.build,
            next: from + bytes.len() as u64,
            text: heading + &String::from_utf8_lossy(&bytes),
            ended: ended && is_last,
        });
    }
}

async fn bytes_of(builds: &dyn Builds, build: &BuildId, from: u64) -> Result<Vec<u8>, ChatError> {
    match builds.log(build, from).await? {
        Some(bytes) => Ok(bytes),
        None => refused(Refusal::LogGone(build.clone())),
    }
}
