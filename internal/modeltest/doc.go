// Package modeltest compares the engine in sql/ with a small model of the contract (sections 5 to 7 and 8.8), under random
// graphs and random operations. It holds tests only.
//
//   - model_test.go, rules_test.go and admission_test.go are the model: what a task is, what each event does to it and to
//     its neighbours, and which tasks may start. They know nothing of PostgreSQL.
//   - op_*_test.go are the operations. Each can be run on a database and applied to the model, and says which SQLSTATE
//     the contract asks for when it has to be refused.
//   - draw_test.go chooses operations, from rapid or from a seed.
//   - TestSequential runs one operation after the other and compares the whole database with the model after each.
//     rapid shrinks what fails.
//   - TestConcurrent runs operations on many connections at once, kills some of them, and takes a number from a sequence
//     just before each commit, when all locks are held. Since the engine locks what it looks at until the commit, these
//     numbers are an order in which the operations could have run one by one: they are applied to the model in this
//     order, and each must have changed exactly the rows that the model says, and have given its answer. A refusal must
//     be right at some moment between its beginning and its end.
//
// Whether a rule permits a start cannot be read off the order of commits: an end takes effect before it commits, for the
// commit's number, and after it, for who decides at this moment. So starts are logged where they are decided, and judge_test.go
// asks of each whether more than its rules permit must have been seen. At the end of a round nothing that may start is left.
//
// Each round of TestConcurrent weighs the kinds of operations differently, and operations keep their locks for some
// milliseconds now and then, so that others meet them. Operations of which the contract (section 13) says that they never
// end in SQLSTATE 40P01 have rounds of their own, without any deadlock.
//
// MODEL_SECONDS sets how long the two tests run together (50 by default), MODEL_SEED repeats the choices of
// TestConcurrent (not how its operations meet), -rapid.seed and -rapid.failfile those of TestSequential.
package modeltest
