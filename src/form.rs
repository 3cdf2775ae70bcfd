//! The two forms of a layer, and a value of each.

use serde::Serialize;

/// The two forms of a layer that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// With the schedule that its author wrote.
    Written,
    /// As the search finds best.
    Optimized,
}

impl Form {
    /// Both forms, the written one first.
    pub const ALL: [Form; 2] = [Form::Written, Form::Optimized];

    /// The name in reports: `written`.
    pub fn name(self) -> &'static str {
        match self {
            Form::Written => "written",
            Form::Optimized => "optimized",
        }
    }

    /// As it is said of kernels: they are *as written*.
    pub fn phrase(self) -> &'static str {
        match self {
            Form::Written => "as written",
            Form::Optimized => "as optimized",
        }
    }
}

/// A value of each form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Forms<T> {
    /// Of the form as written.
    pub written: T,
    /// Of the optimized form.
    pub optimized: T,
}

impl<T> Forms<T> {
    /// References to both values.
    pub fn as_ref(&self) -> Forms<&T> {
        Forms {
            written: &self.written,
            optimized: &self.optimized,
        }
    }

    /// The value of a form.
    pub fn get(&self, form: Form) -> &T {
        match form {
            Form::Written => &self.written,
            Form::Optimized => &self.optimized,
        }
    }

    /// What `f` makes of both, the written one first.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Forms<U> {
        Forms {
            written: f(self.written),
            optimized: f(self.optimized),
        }
    }

    /// As [`Forms::map`], up to the first error.
    ///
    /// # Errors
    ///
    /// What `f` refuses.
    pub fn try_map<U, E>(self, mut f: impl FnMut(T) -> Result<U, E>) -> Result<Forms<U>, E> {
        Ok(Forms {
            written: f(self.written)?,
            optimized: f(self.optimized)?,
        })
    }

    /// Both values together with those of other ones.
    pub fn zip<U>(self, other: Forms<U>) -> Forms<(T, U)> {
        Forms {
            written: (self.written, other.written),
            optimized: (self.optimized, other.optimized),
        }
    }
}

impl<T> Forms<Option<T>> {
    /// Both values, if there are both.
    pub fn both(self) -> Option<Forms<T>> {
        Some(Forms {
            written: self.written?,
            optimized: self.optimized?,
        })
    }
}

impl<T> IntoIterator for Forms<T> {
    type Item = (Form, T);
    type IntoIter = std::array::IntoIter<(Form, T), 2>;

    fn into_iter(self) -> Self::IntoIter {
        [
            (Form::Written, self.written),
            (Form::Optimized, self.optimized),
        ]
        .into_iter()
    }
}
