"""Studies of several series: their files, where slices and points lie in the patient, and what each unit sees."""
