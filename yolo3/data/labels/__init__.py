"""Labels of other tools: a reader for each format, and one policy for what cannot be used.

a folder or file -> `formats` recognises what it is -> a reader collects a `Draft`
   -> `policy` decides what stops, what is left out, and looks at each image once
"""
