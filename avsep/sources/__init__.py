"""Where videos come from: lists of ids, folders of videos, and what others have extracted already."""
