//! What an update says of one field: nothing, "clear it", or a new value.

use store::json::Object;

/// Absent, null and a value are three things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Absent,
    /// `null`: cleared.
    Null,
    Value(T),
}

impl<T> Patch<T> {
    pub fn is_absent(&self) -> bool {
        matches!(self, Patch::Absent)
    }

    /// The value, if there is one: for creation, where absent and null are the same.
    pub fn value(self) -> Option<T> {
        match self {
            Patch::Value(value) => Some(value),
            Patch::Absent | Patch::Null => None,
        }
    }

    pub fn as_ref(&self) -> Patch<&T> {
        match self {
            Patch::Absent => Patch::Absent,
            Patch::Null => Patch::Null,
            Patch::Value(value) => Patch::Value(value),
        }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Patch::Absent => Patch::Absent,
            Patch::Null => Patch::Null,
            Patch::Value(value) => Patch::Value(change(value)),
        }
    }

    pub fn try_map<U, E>(self, change: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Patch::Absent => Patch::Absent,
            Patch::Null => Patch::Null,
            Patch::Value(value) => Patch::Value(change(value)?),
        })
    }

    /// Changes a field that can be cleared.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Patch::Absent => {}
            Patch::Null => *field = None,
            Patch::Value(value) => *field = Some(value),
        }
    }

    /// Changes a field that has an empty value instead of null.
    pub fn apply_or_default(self, field: &mut T)
    where
        T: Default,
    {
        match self {
            Patch::Absent => {}
            Patch::Null => *field = T::default(),
            Patch::Value(value) => *field = value,
        }
    }
}

impl<T> Patch<T> {
    /// Takes a default where no value was sent: for creation.
    pub fn fill(&mut self, default: Option<T>) {
        if let (Patch::Absent | Patch::Null, Some(value)) = (&self, default) {
            *self = Patch::Value(value);
        }
    }
}

/// Puts the fields that were sent into an object; null takes one away.
pub fn merge(kept: &mut Object, sent: Object) {
    for (name, value) in sent {
        match value {
            serde_json::Value::Null => drop(kept.remove(&name)),
            value => drop(kept.insert(name, value)),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// `None` means that the field stays as it is.
    fn from(value: Option<T>) -> Patch<T> {
        value.map_or(Patch::Absent, Patch::Value)
    }
}
