"""params.yaml -> frozen dataclasses: types, ranges and contradictions, checked before any work starts.

`sections` mirror the keys of the file, `stages` say which of them a stage reads, `contradictions` are what is each in
range and does not go together, by subject, and `loading` puts them in order.  All is checked and no value is derived:
DVC watches the values themselves, so that an edit of this folder re-runs no stage (tests/test_pipeline.py).
"""
