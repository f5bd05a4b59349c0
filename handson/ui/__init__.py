"""What a notebook shows: the form, the pictures, the reports and the progress."""
