// Package keepalive says what rules for keeping an idle function loaded would have done to a trace: how many of its starts
// would have been cold, and how many minutes it would have been loaded for nothing.
//
// The model is that of ../shared/traces/README.md, which is that of "Serverless in the Wild" (Shahrad et al., USENIX ATC
// 2020): minutes are the grain and execution takes none. A minute with invocations is an event; all its invocations but
// the first are warm; a function's first event is cold; a later one is cold when the function is not loaded by then.
//
// Beside each rule stand two measures. The floor is what its warm starts cost anyone who cannot know the future, if
// arrivals have no memory: see Result.FloorIdleMin. The oracle knows every next gap: see Result.OracleIdleMin.
package keepalive
