"""The teacher's desk: release assignments, collect what comes back, give feedback, export grades.

`labkit.course` says what is asked and marks the answers; here is what happens before and after.
"""
