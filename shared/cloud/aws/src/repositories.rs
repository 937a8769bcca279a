//! `Repositories` in a store: registered by name or owner, bound to an id by their first push.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use towline_domain::names::{RepositoryId, RepositoryName};
use towline_ports::admission::{Binding, Ids, Judgement, Known, judge, same_name};
use towline_ports::{
    Admission, Key, PortError, Query, Remedy, Repositories, RepositoryRef, Store, TransactError,
    Write,
};

/// The partition of all items here: few and small, read with one request.
const PARTITION: &str = "ADMISSION";

/// How often simultaneous first pushes are decided again.
const MOST_TRIES: usize = 5;

/// The repositories that may push. A known one is admitted without a read.
#[derive(Debug)]
pub struct TableRepositories<S> {
    store: S,
    registered: Vec<Entry>,
    /// The bindings when last read. Bindings never change.
    bound: Mutex<Bound>,
}

/// One entry of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// `owner/name`
    One(RepositoryName),
    /// `owner/*`
    AllOf(String),
}

/// Why a setting is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a repository: use owner/name, or owner/* for all repositories of an owner, separated by commas"
)]
pub struct NamesError(String);

/// Names in lower case, and the ids they are bound to.
#[derive(Debug, Clone, Default)]
struct Bound {
    names: BTreeMap<String, BoundName>,
    /// The version of each id's item.
    ids: BTreeMap<RepositoryId, u64>,
}

#[derive(Debug, Clone)]
struct BoundName {
    name: RepositoryName,
    binding: Binding,
    version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct NameItem {
    name: RepositoryName,
    #[serde(flatten)]
    binding: Binding,
}

/// The item of an id, so that no id is bound to two names.
#[derive(Debug, Serialize, Deserialize)]
struct IdItem {
    name: RepositoryName,
}

impl Entry {
    fn read(text: &str) -> Result<Self, NamesError> {
        let refused = || NamesError(text.chars().take(80).collect());
        if let Some(owner) = text.strip_suffix("/*") {
            // An owner is valid if it can be the first part of a name.
            let name = format!("{owner}/x").parse::<RepositoryName>();
            return match name {
                Ok(_) => Ok(Self::AllOf(owner.to_owned())),
                Err(_) => Err(refused()),
            };
        }
        text.parse().map(Self::One).map_err(|_| refused())
    }

    fn covers(&self, name: &RepositoryName) -> bool {
        match self {
            Self::One(own) => same_name(own, name),
            Self::AllOf(owner) => {
                let of = name.as_str().split_once('/');
                of.is_some_and(|(of, _)| of.eq_ignore_ascii_case(owner))
            }
        }
    }
}

impl<S: Store> TableRepositories<S> {
    /// The repositories in the text, separated by commas: `acme/shop, acme/*`. If empty, no repository
    /// may push.
    ///
    /// # Errors
    ///
    /// When a part of it is neither `owner/name` nor `owner/*`.
    pub fn new(store: S, names: &str) -> Result<Self, NamesError> {
        let entries = names.split(',').map(str::trim);
        let entries = entries.filter(|entry| !entry.is_empty()).map(Entry::read);
        Ok(Self {
            store,
            registered: entries.collect::<Result<_, _>>()?,
            bound: Mutex::default(),
        })
    }

    fn is_registered(&self, name: &RepositoryName) -> bool {
        self.registered.iter().any(|entry| entry.covers(name))
    }

    /// The facts for a decision: the registered names and their bindings.
    fn known(&self, bound: &Bound, claim: &RepositoryRef) -> Vec<Known> {
        let mut known: Vec<Known> = bound
            .names
            .values()
            .filter(|bound| self.is_registered(&bound.name))
            .map(|bound| Known {
                name: bound.name.clone(),
                ids: Ids::Bound(bound.binding),
            })
            .collect();
        let by_name = self.registered.iter().filter_map(|entry| match entry {
            Entry::One(name) => Some(name),
            Entry::AllOf(_) => None,
        });
        let claimed = Some(&claim.name).filter(|name| self.is_registered(name));
        for name in by_name.chain(claimed) {
            if !known.iter().any(|known| same_name(&known.name, name)) {
                known.push(Known {
                    name: name.clone(),
                    ids: Ids::Unseen,
                });
            }
        }
        known
    }

    fn remembered(&self) -> Bound {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.clone()
    }

    async fn load(&self) -> Result<Bound, PortError> {
        let mut bound = Bound::default();
        let mut query = Query::all(PARTITION);
        loop {
            let page = self.store.query(&query).await?;
            for item in page.items {
                let broken = |error| {
                    PortError::new(format!("reading the binding {:?}", item.key.sort), error)
                };
                if let Some(id) = item.key.sort.strip_prefix("id#") {
                    let id = id.parse().map_err(|error| {
                        PortError::new(format!("reading the binding {:?}", item.key.sort), error)
                    })?;
                    bound.ids.insert(RepositoryId(id), item.version);
                } else {
                    let read = serde_json::from_value(item.body.into_json()).map_err(broken)?;
                    let NameItem { name, binding } = read;
                    let version = item.version;
                    let kept = BoundName {
                        binding,
                        version,
                        name: name.clone(),
                    };
                    bound.names.insert(lower(&name), kept);
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        let mut remembered = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.clone_from(&bound);
        Ok(bound)
    }

    /// Binds a registered name in one transaction with its ids. A name that is no longer registered but
    /// has one of the ids is the same repository before it was renamed: its bindings are taken over.
    ///
    /// Returns the binding; none if one of them was bound meanwhile.
    async fn bind(
        &self,
        bound: &Bound,
        name: &RepositoryName,
        new: Binding,
    ) -> Result<Option<Binding>, PortError> {
        let own = bound.names.get(&lower(name));
        let holds_one = |binding: &Binding| {
            binding.holds(new.id) || new.real.is_some_and(|id| binding.holds(id))
        };
        let former = bound
            .names
            .values()
            .find(|other| !same_name(&other.name, name) && holds_one(&other.binding));
        let binding = match former {
            Some(former) if own.is_none() => former.binding,
            _ => new,
        };
        let item = NameItem {
            name: name.clone(),
            binding,
        };
        let version = own.map(|own| own.version);
        let mut writes = vec![write(name_key(name), &item, version)?];
        let item = IdItem { name: name.clone() };
        for id in [Some(binding.id), binding.real].into_iter().flatten() {
            let key = Key::new(PARTITION, format!("id#{id}"));
            writes.push(write(key, &item, bound.ids.get(&id).copied())?);
        }
        if let Some(former) = former {
            writes.push(Write::Delete {
                key: name_key(&former.name),
                version: former.version,
            });
        }
        match self.store.transact(writes).await {
            Ok(()) => Ok(Some(binding)),
            Err(TransactError::Conflict(_)) => Ok(None),
            Err(TransactError::Port(error)) => Err(error),
        }
    }
}

#[async_trait]
impl<S: Store> Repositories for TableRepositories<S> {
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError> {
        let remembered = self.known(&self.remembered(), repository);
        if let Judgement::Admitted(known) = judge(&remembered, repository) {
            return Ok(Admission::Admitted(known));
        }
        for _ in 0..MOST_TRIES {
            let bound = self.load().await?;
            match judge(&self.known(&bound, repository), repository) {
                Judgement::Admitted(known) => return Ok(Admission::Admitted(known)),
                Judgement::Bind { name, binding } => {
                    if let Some(Binding { id, .. }) = self.bind(&bound, &name, binding).await? {
                        return Ok(Admission::Admitted(RepositoryRef { id, name }));
                    }
                }
                Judgement::Unknown => return Ok(Admission::Unknown),
                Judgement::Impostor { name, known } => {
                    return Ok(Admission::Impostor {
                        known,
                        remedy: Remedy::DeleteItem {
                            partition: PARTITION.into(),
                            sort: name_key(&name).sort.to_string(),
                        },
                    });
                }
            }
        }
        Err(PortError::because(format!(
            "binding {} to its id: others are binding at the same time",
            repository.name
        )))
    }
}

fn lower(name: &RepositoryName) -> String {
    name.as_str().to_ascii_lowercase()
}

fn name_key(name: &RepositoryName) -> Key {
    Key::new(PARTITION, format!("name#{}", lower(name)))
}

fn write(key: Key, item: &impl Serialize, version: Option<u64>) -> Result<Write, PortError> {
    let body = serde_json::to_value(item)
        .map_err(|error| PortError::new(format!("writing the binding {:?}", key.sort), error))?;
    let (body, due) = (body.into(), None);
    Ok(match version {
        None => Write::Create { key, body, due },
        Some(version) => Write::Replace {
            key,
            version,
            body,
            due,
        },
    })
}
