"""The commands of `sciml-dsl`, one module each, imported when called."""
