"""Training: one update (`step`), epochs of them (`loop`), parameter groups (`optimizers`), what moves with the step
(`schedules`), and what is shown meanwhile (`progress`, `scalars`). Takes built objects and plain values; knows no
config."""
