//! The people of one machine, in `people.json`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use towline_domain::names::RepositoryName;
use towline_domain::person::{EVERY_GROUP, Person, SYSTEM};
use towline_wire::people::{Known, People as Everybody, SlackUser, hash};

use crate::folder::{Folder, FolderError, write_private};
use towline_ports::system::random_bytes;

/// The lock file that serializes changes.
const LOCK: &str = "people.lock";
/// The login of the machine's owner.
const OWNER: &str = "owner";

/// Why a list of people cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// The login is invalid.
    #[error("{login:?} is not a login; use 1 to 39 letters, digits, '-', '_' and '.'")]
    NotALogin {
        /// The login as it was given.
        login: String,
    },
    /// The login stands for Towline itself.
    #[error("{login} is reserved for Towline itself; choose another login")]
    Reserved { login: String },
    #[error("{login} already exists; to create a new token, remove the person first")]
    Taken { login: String },
    /// Nobody would be left who is in every group.
    #[error(
        "{login} is the only person in every group; first add another with: towline people add LOGIN --group '*'"
    )]
    Last { login: String },
    /// The list does not have the login.
    #[error("login {login} not found")]
    NotFound { login: String },
}

/// Adds a person to a list, and returns their token, which cannot be shown again.
///
/// A person who signs with an ARN gets a token only if it is `wanted`.
///
/// # Errors
/// When the login is taken or invalid.
pub fn add(
    entries: &mut Vec<Known>,
    mut newcomer: Known,
    wanted: bool,
) -> Result<Option<String>, NotChanged> {
    let login = newcomer.person.login.clone();
    let good = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if login.is_empty() || login.len() > 39 || !login.chars().all(good) {
        return Err(NotChanged::NotALogin { login });
    }
    if login.eq_ignore_ascii_case(SYSTEM) {
        return Err(NotChanged::Reserved { login });
    }
    if find(entries, &login).is_some() {
        return Err(NotChanged::Taken { login });
    }
    let token = (wanted || newcomer.arn.is_none()).then(|| hex::encode(random_bytes::<32>()));
    newcomer.token_sha256 = token.as_deref().map(hash);
    entries.push(newcomer);
    Ok(token)
}

/// Removes a person from a list.
///
/// # Errors
/// When the list does not have the login.
pub fn remove(entries: &mut Vec<Known>, login: &str) -> Result<(), NotChanged> {
    let place = place(entries, login)?;
    entries.remove(place);
    Ok(())
}

/// New values for a person's entry; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub emails: Option<Vec<String>>,
    pub groups: Option<Vec<String>>,
    /// The repositories that they are confined to; an empty list means all.
    pub only: Option<Vec<RepositoryName>>,
    pub slack: Option<Vec<SlackUser>>,
}

/// Changes a person's entry in a list. Their token stays the same.
///
/// # Errors
/// When the list does not have the login.
pub fn change(entries: &mut [Known], login: &str, changes: Changes) -> Result<(), NotChanged> {
    let place = place(entries, login)?;
    let known = &mut entries[place];
    let Changes {
        emails,
        groups,
        only,
        slack,
    } = changes;
    let person = &mut known.person;
    person.emails = emails.unwrap_or_else(|| std::mem::take(&mut person.emails));
    person.groups = groups.unwrap_or_else(|| std::mem::take(&mut person.groups));
    person.only = only.unwrap_or_else(|| std::mem::take(&mut person.only));
    known.slack = slack.unwrap_or_else(|| std::mem::take(&mut known.slack));
    Ok(())
}

/// Whether a person belongs to every group, everywhere.
#[must_use]
pub fn administers(known: &Known) -> bool {
    known.person.only.is_empty() && known.person.administers()
}

/// A person without token and ARN.
pub fn known(person: Person) -> Known {
    Known {
        person,
        token_sha256: None,
        arn: None,
        slack: Vec::new(),
    }
}

fn place(entries: &[Known], login: &str) -> Result<usize, NotChanged> {
    find(entries, login).ok_or_else(|| NotChanged::NotFound {
        login: login.to_owned(),
    })
}

fn find(entries: &[Known], login: &str) -> Option<usize> {
    entries
        .iter()
        .position(|entry| entry.person.login.eq_ignore_ascii_case(login))
}

/// The people of a folder, without changing it; none if there is no list yet.
///
/// # Errors
/// When the list cannot be read.
pub fn listed(folder: &Folder) -> Result<Option<Vec<Known>>, PeopleError> {
    let people = People::at(folder);
    match people.path.exists() {
        true => people.entries().map(Some),
        false => Ok(None),
    }
}

/// The people in `people.json`, read again whenever the file changes.
#[derive(Clone)]
pub struct People {
    folder: Folder,
    path: PathBuf,
    read: Arc<Mutex<Read>>,
}

#[derive(Default)]
struct Read {
    stamp: Option<Stamp>,
    entries: Everybody,
}

/// Identifies a version of the file. The file is always replaced, so the inode differs even if two
/// changes happen within one tick of the file system's clock.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

/// Why people cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The file cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file is invalid.
    #[error("{} is not valid: {cause}; fix or remove it", path.display())]
    Broken {
        path: PathBuf,
        /// The mistake in it.
        cause: String,
    },
    /// The request is refused.
    #[error(transparent)]
    Refused(#[from] NotChanged),
}

impl People {
    /// Opens the people of a folder. A new list contains the owner, who belongs to every group.
    pub fn open(folder: &Folder) -> Result<Self, PeopleError> {
        let people = Self::at(folder);
        let _lock = people.folder.lock(LOCK)?;
        let token = hash(&folder.secret(&folder.token_file())?);
        let is_new = !people.path.exists();
        let mut entries = people.entries()?;
        let owner = entries.iter_mut().find(|entry| entry.person.login == OWNER);
        match owner {
            // The owner's token is the content of the file, so that it can be changed there.
            Some(owner) if owner.token_sha256.as_ref() != Some(&token) => {
                owner.token_sha256 = Some(token);
            }
            // A removed person stays removed.
            Some(_) => return Ok(people),
            None if !is_new => return Ok(people),
            None => {
                let groups = vec![EVERY_GROUP.into()];
                let person = Person {
                    login: OWNER.into(),
                    groups,
                    ..Person::default()
                };
                entries.push(Known {
                    token_sha256: Some(token),
                    ..known(person)
                });
            }
        }
        people.write(&entries)?;
        Ok(people)
    }

    fn at(folder: &Folder) -> Self {
        Self {
            folder: folder.clone(),
            path: folder.path("people.json"),
            read: Arc::default(),
        }
    }

    pub fn entries(&self) -> Result<Vec<Known>, PeopleError> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| self.broken(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        Some(Stamp {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    fn broken(&self, cause: &dyn std::error::Error) -> PeopleError {
        PeopleError::Broken {
            path: self.path.clone(),
            cause: cause.to_string(),
        }
    }

    fn write(&self, entries: &[Known]) -> Result<(), PeopleError> {
        let mut text =
            serde_json::to_string_pretty(entries).map_err(|error| self.broken(&error))?;
        text.push('\n');
        Ok(write_private(&self.path, text.as_bytes())?)
    }

    /// Adds a person and returns their token, like [`add`].
    ///
    /// # Errors
    /// When the login is taken or invalid.
    pub fn add(&self, newcomer: Known, wanted: bool) -> Result<Option<String>, PeopleError> {
        let _lock = self.folder.lock(LOCK)?;
        let mut entries = self.entries()?;
        let is_owner = newcomer.person.login == OWNER;
        let token = add(&mut entries, newcomer, wanted)?;
        if let (true, Some(token)) = (is_owner, &token) {
            // The owner's token is also in a file, which must change with it.
            write_private(&self.folder.token_file(), format!("{token}\n").as_bytes())?;
        }
        self.write(&entries)?;
        Ok(token)
    }

    /// Removes a person; their token is invalid from then on.
    ///
    /// # Errors
    /// When the login is not known, or no administrator would be left.
    pub fn remove(&self, login: &str) -> Result<(), PeopleError> {
        self.without_leaving_nobody(login, |entries| remove(entries, login))
    }

    /// Changes a person's entry, like [`change`].
    ///
    /// # Errors
    /// When the login is not known, or no administrator would be left.
    pub fn change(&self, login: &str, changes: Changes) -> Result<(), PeopleError> {
        self.without_leaving_nobody(login, |entries| change(entries, login, changes))
    }

    fn without_leaving_nobody(
        &self,
        login: &str,
        change: impl FnOnce(&mut Vec<Known>) -> Result<(), NotChanged>,
    ) -> Result<(), PeopleError> {
        let _lock = self.folder.lock(LOCK)?;
        let mut entries = self.entries()?;
        let somebody_did = entries.iter().any(administers);
        change(&mut entries)?;
        if somebody_did && !entries.iter().any(administers) {
            let login = login.to_owned();
            return Err(NotChanged::Last { login }.into());
        }
        self.write(&entries)
    }

    /// The person with this token. Only hashes are compared, so timing reveals nothing about it.
    pub fn authenticate(&self, token: &str) -> Option<Person> {
        self.find(|people| people.by_token(token))
    }

    /// A person in the current list.
    pub(crate) fn find(&self, who: impl FnOnce(&Everybody) -> Option<&Person>) -> Option<Person> {
        let stamp = self.stamp();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.stamp != stamp || stamp.is_none() {
            match self.entries() {
                Ok(entries) => {
                    *read = Read {
                        stamp,
                        entries: Everybody(entries),
                    };
                }
                Err(error) => {
                    tracing::error!(%error, "nobody can sign in");
                    return None;
                }
            }
        }
        who(&read.entries).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_one_person_until_they_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        let people = People::open(&folder).expect("people");
        let owner = fs::read_to_string(folder.token_file()).expect("the owner's token");
        assert_eq!(
            people
                .authenticate(&owner)
                .map(|person| person.login)
                .as_deref(),
            Some("owner")
        );
        let lee = Person {
            login: "lee".into(),
            emails: vec!["lee@acme.example".into()],
            groups: vec!["release".into()],
            ..Person::default()
        };
        let token = people
            .add(known(lee.clone()), false)
            .expect("added")
            .expect("a token");
        assert_eq!(people.authenticate(&token), Some(lee.clone()));
        assert!(
            people.add(known(lee), false).is_err(),
            "a login is given once"
        );
        assert_eq!(people.authenticate("guess"), None);
        let again = People::open(&folder).expect("people");
        assert_eq!(
            again
                .authenticate(&token)
                .map(|person| person.login)
                .as_deref(),
            Some("lee")
        );
        people.remove("LEE").expect("removed");
        assert_eq!(people.authenticate(&token), None);

        fs::remove_file(folder.token_file()).expect("removed");
        People::open(&folder).expect("people");
        let fresh = fs::read_to_string(folder.token_file()).expect("the owner's new token");
        assert_eq!(
            people.authenticate(&owner),
            None,
            "the old token is good for nothing"
        );
        assert!(people.authenticate(&fresh).is_some());
        assert!(people.remove("owner").is_err(), "nobody else administers");
        let changed = people.change(
            "owner",
            Changes {
                groups: Some(Vec::new()),
                ..Changes::default()
            },
        );
        assert!(changed.is_err(), "nobody else administers");
        let boss = Person {
            login: "boss".into(),
            groups: vec![EVERY_GROUP.into()],
            ..Person::default()
        };
        people.add(known(boss), false).expect("added");
        people.remove("owner").expect("removed");
        People::open(&folder).expect("people");
        assert_eq!(
            people.authenticate(&fresh),
            None,
            "who was removed stays removed"
        );
    }
}
