//! Checks that what waited for a person is tried at once when the service allows it again.

use jiff::Timestamp;
use towline_ports::Announcement;

use super::{Known, Watch};

impl Watch {
    /// These are announced; whatever they are about is tried now.
    pub(crate) fn announced(&self, announcements: &[Announcement]) {
        let mut known = self.known();
        if known.released.is_empty() {
            return;
        }
        for announcement in announcements {
            if let Some(id) = announcement.detail["intent_id"].as_str() {
                known.released.remove(id);
            }
        }
    }

    /// From now on, nothing fails: what was to be announced before may have failed, and is tried later.
    pub(crate) fn begins_peace(&self) {
        self.known().released.clear();
    }

    /// A sweep that began then has ended, and nothing failed.
    pub(crate) fn swept(&self, since: Timestamp) {
        let mut known = self.known();
        let late = known.released.iter().find(|(_, at)| **at < since);
        let late = late.map(|(id, at)| format!("I14: {id} may go on since {at}, and still waits"));
        known.violations.extend(late);
    }
}

impl Known {
    /// A service allows again what it denied, so whatever waits for it must be announced.
    pub(super) fn released(&mut self, by: &str, now: Timestamp) {
        let waiting = self.obstructed.iter().filter(|(_, known)| *known == by);
        for (id, _) in waiting {
            self.released.entry(id.clone()).or_insert(now);
        }
    }

    pub(super) fn waits_no_more(&mut self, id: &str) {
        if !self.obstructed.is_empty() {
            self.obstructed.remove(id);
            self.released.remove(id);
        }
    }
}
