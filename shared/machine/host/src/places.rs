//! Decides which connection is closed when a new one needs its place.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The most open connections.
const MOST: usize = 512;
/// Places reserved for connections without credentials, so that a new one has time to send its request.
const FOR_STRANGERS: usize = 128;

/// All open connections. A new one never waits: if there is no place, another connection is closed.
///
/// Of the address with the most connections, the one whose client has been silent for the longest is
/// closed. Connections that serve a request come last: a request with credentials, or one that has
/// arrived completely.
pub(super) struct Places {
    most: usize,
    for_strangers: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The number of the last event; a larger number is later.
    events: u64,
    taken: HashMap<u64, Taken>,
}

struct Taken {
    peer: IpAddr,
    /// The number of its client's last event: it sent or received something.
    active: u64,
    /// The number of its current exchange.
    exchange: u64,
    serves: bool,
    /// The connection ends when this is dropped.
    open: oneshot::Sender<()>,
}

/// A connection's place.
#[derive(Clone)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
}

/// A request that arrives, or an answer that leaves.
pub(super) struct Exchange {
    place: Place,
    number: u64,
    serves_afterwards: bool,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(MOST, FOR_STRANGERS)
    }
}

impl Places {
    fn new(most: usize, for_strangers: usize) -> Self {
        Self {
            most,
            for_strangers,
            table: Mutex::default(),
        }
    }

    /// Takes a place for a connection, which must end when the receiver says so; drop the receiver
    /// when it has ended.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> (Place, oneshot::Receiver<()>) {
        let (open, closed) = oneshot::channel();
        let mut table = self.lock();
        table.taken.retain(|_, taken| !taken.open.is_closed());
        while table.taken.len() >= self.most {
            let Some(id) = table.last_in_order(self.for_strangers) else {
                break;
            };
            table.taken.remove(&id);
        }
        let id = table.next_event();
        let taken = Taken {
            peer: network(peer),
            active: id,
            exchange: id,
            serves: false,
            open,
        };
        table.taken.insert(id, taken);
        let place = Place {
            places: Arc::clone(self),
            id,
        };
        (place, closed)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// The connection to close.
    fn last_in_order(&self, for_strangers: usize) -> Option<u64> {
        let others = self.taken.values().filter(|taken| !taken.serves).count();
        let serves = others < for_strangers;
        let candidates = || self.taken.iter().filter(|(_, it)| it.serves == serves);
        let mut of_peer: HashMap<IpAddr, usize> = HashMap::new();
        for (_, taken) in candidates() {
            *of_peer.entry(taken.peer).or_default() += 1;
        }
        let order = |taken: &Taken| (of_peer.get(&taken.peer).copied(), Reverse(taken.active));
        let last = candidates().max_by_key(|(_, taken)| order(taken));
        last.map(|(id, _)| *id)
    }
}

impl Place {
    /// Begins to receive a request. Once it is complete, it is being served.
    pub(super) fn request(&self, has_credentials: bool) -> Exchange {
        self.begin(has_credentials, true)
    }

    /// Begins to send an answer. Once it is sent, the connection waits for its client.
    pub(super) fn answer(&self, has_credentials: bool) -> Exchange {
        self.begin(has_credentials, false)
    }

    fn begin(&self, serves: bool, serves_afterwards: bool) -> Exchange {
        let mut table = self.places.lock();
        let number = table.next_event();
        if let Some(taken) = table.taken.get_mut(&self.id) {
            (taken.active, taken.exchange, taken.serves) = (number, number, serves);
        }
        Exchange {
            place: self.clone(),
            number,
            serves_afterwards,
        }
    }
}

impl Exchange {
    /// The client has sent or received a piece.
    pub(super) fn moved(&self) {
        self.update(|_| ());
    }

    /// Changes the connection, unless its next exchange has begun or it is closed.
    fn update(&self, change: impl FnOnce(&mut Taken)) {
        let mut table = self.place.places.lock();
        let event = table.next_event();
        let taken = table.taken.get_mut(&self.place.id);
        if let Some(taken) = taken.filter(|taken| taken.exchange == self.number) {
            taken.active = event;
            change(taken);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.update(|taken| taken.serves = self.serves_afterwards);
    }
}

/// What counts as one address. For IPv6, this is the network that a provider gives to one customer.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(peer) => IpAddr::from((peer.to_bits() >> 64 << 64).to_be_bytes()),
        peer => peer,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Plays a script with three places, one of them for strangers; returns what is closed at each line.
    ///
    /// Connections are letters. `a from 1` opens one from the address 10.0.0.1, the other words are
    /// what happens to it.
    fn check(script: &str, expected: &str) {
        let places = Arc::new(Places::new(3, 1));
        let mut open = HashMap::new();
        let mut exchanges = HashMap::new();
        let mut closed = String::new();
        for line in script.lines().map(str::trim) {
            let (name, event) = line.split_once(' ').expect("a name and an event");
            let place = open.get(name).map(|(place, _): &(Place, _)| place.clone());
            match (event.strip_prefix("from "), place) {
                (Some(host), _) => {
                    let peer = if host.contains(':') {
                        host.parse()
                    } else {
                        format!("10.0.0.{host}").parse()
                    };
                    open.insert(name, places.take(peer.expect("an address")));
                }
                (None, Some(place)) => match event {
                    "asks" => drop(exchanges.insert(name, place.request(false))),
                    "asks with a token" => drop(exchanges.insert(name, place.request(true))),
                    "is answered" => drop(exchanges.insert(name, place.answer(false))),
                    "sends" => exchanges[name].moved(),
                    "is done" => drop(exchanges.remove(name)),
                    "ends" => drop(open.remove(name)),
                    other => panic!("{other} is not an event"),
                },
                (None, None) => panic!("{name} is not open"),
            }
            let mut gone: Vec<&str> = open
                .iter_mut()
                .filter_map(|(name, (_, closed))| {
                    let closed = closed.try_recv() == Err(oneshot::error::TryRecvError::Closed);
                    closed.then_some(*name)
                })
                .collect();
            gone.sort_unstable();
            for name in gone {
                open.remove(name);
                writeln!(closed, "{line}: {name} is closed").expect("a text takes lines");
            }
        }
        assert_eq!(closed.trim_end(), expected, "{script}");
    }

    #[test]
    fn s9_a_silent_connection_makes_room() {
        check("a from 1\nb from 1\nc from 1", "");
        check(
            "a from 1\nb from 1\nc from 1\nd from 1\ne from 1",
            "d from 1: a is closed\ne from 1: b is closed",
        );
        check("a from 1\nb from 1\nc from 1\nb ends\nd from 1", "");
        check(
            "a from 1\nb from 1\nc from 1\na asks\na sends\nd from 1",
            "d from 1: b is closed",
        );
    }

    #[test]
    fn s9_the_address_with_the_most_connections_makes_room() {
        check(
            "a from 1\nb from 2\nc from 2\nd from 3",
            "d from 3: b is closed",
        );
        check(
            "a from 1\nb from fd00::1\nc from fd00::2\nd from 1",
            "d from 1: b is closed",
        );
        check(
            "a from ::ffff:10.0.0.1\nb from 2\nc from 1\nd from 3",
            "d from 3: a is closed",
        );
    }

    #[test]
    fn s9_what_is_served_makes_room_last() {
        check(
            "a from 1\na asks\na is done\nb from 1\nc from 1\nd from 1",
            "d from 1: b is closed",
        );
        check(
            "a from 1\na asks with a token\nb from 1\nc from 1\nd from 1",
            "d from 1: b is closed",
        );
        check(
            "a from 1\na asks\na is answered\na is done\nb from 1\nc from 1\nd from 1",
            "d from 1: a is closed",
        );
    }

    #[test]
    fn s9_connections_with_a_token_leave_places_to_others() {
        check(
            "a from 1\na asks with a token\nb from 1\nb asks with a token\nc from 1
             c asks with a token\nd from 1\ne from 1",
            "d from 1: a is closed\ne from 1: d is closed",
        );
    }
}
