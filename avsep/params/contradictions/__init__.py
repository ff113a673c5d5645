"""Values that are each of their type and do not go together, or not with what there is: a file for each subject.

A check yields each problem that it finds, in words that begin with the param.  A file lists its own as CHECKS, in the
order in which they are told; avsep/params/loading.py lists the files.
"""
