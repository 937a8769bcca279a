//! Decides which deliveries of webhooks GitHub is asked to repeat (F8).
//!
//! GitHub does not repeat deliveries automatically, but does so on request for three days. A repeated
//! delivery has the same GUID as the first one, so a later success settles the failure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How long GitHub can repeat a delivery (GitHub documentation, "Redelivering webhooks"), less an hour.
pub const REPEATABLE: Duration = Duration::from_secs(71 * 3600);
/// How long an attempt may take, and how long a request for another one may be on its way.
const UNDER_WAY: Duration = Duration::from_secs(10 * 60);
/// The most requests for one delivery.
const MOST_ASKED: u32 = 2;
/// The most requests in one round: GitHub takes 80 changes a minute (GitHub REST API, "Rate limits").
const MOST_IN_ROUND: usize = 20;
/// The most deliveries to remember, so that they fit into one item.
const MOST_KNOWN: usize = 2_000;

/// One attempt to deliver a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The delivery, which may have several attempts.
    pub guid: String,
    pub at: Timestamp,
    /// Whether it was answered 2xx.
    pub succeeded: bool,
}

/// The deliveries that GitHub was asked to repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeliveries {
    asked: BTreeMap<String, Asked>,
}

/// A delivery that GitHub was asked to repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    times: u32,
    /// When it was last asked for.
    at: Timestamp,
}

/// What to do in one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// The deliveries to ask for.
    pub ask: Vec<String>,
    /// The deliveries that were answered 2xx since they were asked for.
    pub healed: Vec<String>,
    /// The deliveries that failed again each time.
    pub lost: Vec<String>,
    /// The deliveries that were asked for, once `ask` is done.
    pub after: Redeliveries,
}

impl Redeliveries {
    /// Decides from all attempts that GitHub lists, in any order.
    #[must_use]
    pub fn round(&self, attempts: &[Attempt], now: Timestamp) -> Round {
        let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut good = BTreeSet::new();
        for attempt in attempts {
            let known = newest.entry(&attempt.guid).or_insert(attempt.at);
            *known = attempt.at.max(*known);
            if attempt.succeeded {
                good.insert(attempt.guid.as_str());
            }
        }
        let mut round = Round {
            after: self.clone(),
            ..Round::default()
        };
        let asked = &mut round.after.asked;
        for guid in &good {
            if asked.remove(*guid).is_some() {
                round.healed.push((*guid).to_owned());
            }
        }
        asked.retain(|_, asked| now < asked.at + REPEATABLE);
        for (guid, at) in newest {
            let is_open = !good.contains(guid) && now < at + REPEATABLE && now >= at + UNDER_WAY;
            if !is_open {
                continue;
            }
            let known = asked.get(guid).cloned();
            let (times, is_quiet) = known.map_or((0, true), |known| {
                (known.times, now >= known.at + UNDER_WAY)
            });
            if !is_quiet || times > MOST_ASKED {
                continue;
            }
            if times == MOST_ASKED {
                round.lost.push(guid.to_owned());
            } else if round.ask.len() == MOST_IN_ROUND || asked.len() >= MOST_KNOWN {
                continue;
            } else {
                round.ask.push(guid.to_owned());
            }
            let times = times + 1;
            asked.insert(guid.to_owned(), Asked { times, at: now });
        }
        round
    }
}
