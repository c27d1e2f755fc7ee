"""Training: one update (`step`), epochs of them (`loop`), parameter groups (`optimizers`), and what moves with the step
(`schedules`). Takes built objects and plain values; knows no file and no config."""
