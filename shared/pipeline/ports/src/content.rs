//! The content of an item: JSON that all copies of the item share, and the values it was decoded to.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// A JSON object. Copies are cheap, and all of them know the values that one was decoded to: a
/// decision reads the same definition for each of its stages.
#[derive(Clone, Default)]
pub struct Content(Arc<Shared>);

type Decoded = Arc<dyn Any + Send + Sync>;

#[derive(Default)]
struct Shared {
    json: Value,
    /// One value of each type that was asked for.
    decoded: Mutex<Vec<Decoded>>,
}

impl Content {
    /// The value of a type, which `decode` makes of the JSON the first time. All who ask for one type
    /// must decode it alike.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn decoded<T: Send + Sync + 'static, E>(
        &self,
        decode: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let value = Arc::new(decode(&self.0.json)?);
        let shared: Decoded = Arc::<T>::clone(&value);
        self.all().push(shared);
        Ok(value)
    }

    fn known<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let all = self.all();
        let known = all.iter().find(|value| value.is::<T>())?;
        Arc::clone(known).downcast().ok()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Decoded>> {
        let decoded = self.0.decoded.lock();
        decoded.unwrap_or_else(PoisonError::into_inner)
    }

    /// The JSON, copied only if another copy of the content is left.
    #[must_use]
    pub fn into_json(self) -> Value {
        match Arc::try_unwrap(self.0) {
            Ok(alone) => alone.json,
            Err(shared) => shared.json.clone(),
        }
    }
}

impl From<Value> for Content {
    fn from(json: Value) -> Self {
        let decoded = Mutex::default();
        Self(Arc::new(Shared { json, decoded }))
    }
}

impl Deref for Content {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.json
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.json.fmt(formatter)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.json == other.0.json
    }
}

impl PartialEq<Value> for Content {
    fn eq(&self, other: &Value) -> bool {
        self.0.json == *other
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_content_is_decoded_once_to_each_type() {
        let content = Content::from(json!([1, 2]));
        let copy = content.clone();
        let numbers = content
            .decoded(|json| Vec::<u64>::deserialize(json))
            .expect("numbers");
        let never = |_: &Value| -> Result<Vec<u64>, ()> { Err(()) };
        let again = copy.decoded(never).expect("what it was decoded to");
        assert!(Arc::ptr_eq(&numbers, &again));
        let pair = copy
            .decoded(|json| <(u8, u8)>::deserialize(json))
            .expect("a pair");
        assert_eq!((&*numbers, *pair), (&vec![1, 2], (1, 2)));
    }

    #[test]
    fn what_cannot_be_decoded_is_tried_again() {
        let content = Content::from(json!("text"));
        assert!(content.decoded(|json| u64::deserialize(json)).is_err());
        assert!(content.decoded(|json| u64::deserialize(json)).is_err());
        assert_eq!(
            content.decoded(|_| Ok::<_, ()>(1_u64)).map(|one| *one),
            Ok(1)
        );
    }

    #[test]
    fn a_copy_keeps_its_json_when_another_gives_it_away() {
        let content = Content::from(json!({"a": 1}));
        let copy = content.clone();
        assert_eq!(content.into_json(), json!({"a": 1}));
        assert_eq!(copy, json!({"a": 1}));
        assert_eq!(copy.into_json(), json!({"a": 1}));
    }
}
