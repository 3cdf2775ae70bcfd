//! The `.tw` text form.
