"""Work against achieved error: fifteen problems, and the libraries that solve them, side by side.

`problem.py` says what a problem is and lists them; `references.json` holds end values made
by `references.py`; `contenders/` has one file for each library; `curve.py` compares curves,
`server.py` runs a library in a process of its own, `run.py` keeps results on disk.
"""
