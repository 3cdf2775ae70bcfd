//! Findings of the hazard checker as diagnostics.

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity as Level, SourceCode, SourceSpan};
use std::fmt;
use std::sync::Arc;
use tilewright_backends::ascend::File;
use tilewright_backends::checker::{Finding, Place, Severity};

/// A finding as a diagnostic that shows the emitted lines.
#[derive(Debug, Clone)]
pub struct Shown {
    finding: Finding,
    text: Option<Arc<NamedSource<String>>>,
    labels: Vec<(SourceSpan, String)>,
}

impl Shown {
    /// A finding with the emitted text that it points into.
    pub fn new(finding: &Finding, files: &[File]) -> Self {
        let file = finding.place.file.as_ref();
        let file = file.and_then(|path| files.iter().find(|f| &f.path == path));
        let mut labels = vec![];
        if let Some(file) = file {
            let mut label = |place: &Place, what: &str| {
                let Some(span) = place.line.and_then(|l| line_span(&file.text, l)) else {
                    return;
                };
                let text = match place.pipe {
                    Some(pipe) => format!("{what}, on {}", pipe.name()),
                    None => what.to_owned(),
                };
                if !labels.iter().any(|(s, _)| *s == span) {
                    labels.push((span, text));
                }
            };
            label(&finding.place, "here");
            if let Some(first) = &finding.first {
                label(first, "this first");
            }
        }
        let source = |f: &File| Arc::new(NamedSource::new(&f.path, f.text.clone()));
        Shown {
            finding: finding.clone(),
            text: file.filter(|_| !labels.is_empty()).map(source),
            labels,
        }
    }
}

/// The text of a line, from 1, without its indentation.
fn line_span(text: &str, line: usize) -> Option<SourceSpan> {
    let start = match line.checked_sub(1)? {
        0 => 0,
        n => text.match_indices('\n').nth(n - 1)?.0 + 1,
    };
    let content = text[start..].lines().next()?;
    let indent = content.len() - content.trim_start().len();
    Some((start + indent, content.len() - indent).into())
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.finding;
        // The verifier's messages name the kernel themselves.
        if let Some(kernel) = &found.kernel
            && !found.message.contains(&format!("kernel `{kernel}`"))
        {
            write!(f, "kernel `{kernel}`")?;
            if let Some(block) = found.block {
                write!(f, ", block {block}")?;
                if !found.grid.is_empty() {
                    write!(f, " ({})", found.grid.join(", "))?;
                }
            }
            if let (Some(path), Some(text)) = (&found.place.statement, &found.place.instruction) {
                write!(f, ", instruction {path} `{text}`")?;
            }
            write!(f, ": ")?;
        }
        f.write_str(&found.message)?;
        match found.times {
            0 | 1 => Ok(()),
            n => write!(f, " ({n} times)"),
        }
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.finding.code))
    }

    fn severity(&self) -> Option<Level> {
        Some(match self.finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.finding.remedy))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_deref().map(|t| t as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = |(span, text): &(SourceSpan, String)| {
            LabeledSpan::new_with_span(Some(text.clone()), *span)
        };
        Some(Box::new(self.labels.iter().map(label)))
    }
}
