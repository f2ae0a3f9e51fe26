"""Text -> syntax: the grammar's tokens, statements, expression trees and syntax errors.

Takes the text of a model; gives a `syntax.Document` (`language.parse.parse`).
Names are looked up one room higher, in `model.resolve`.
"""
