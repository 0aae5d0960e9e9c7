"""What can be read off a photo of paper: the page, the imprint, the codes.

Pure: arrays and bytes in, findings out. No files, no network, nothing of the server; time is measured, never judged by.
Coordinates are pixels, x to the right and y down. A finding says what was seen; people decide.
"""
