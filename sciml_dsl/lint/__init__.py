"""What looks wrong in a model that is right: warnings with a code and a place.

Takes a `ModelSpec` (`lint.api.lint`), gives `LintWarning`s.  One module for
each kind of question: names, ranges of values, ways of writing, events.
"""
