// Package tune tries settings on a trace: axes of values, the grid of all their points, the figures at each, which points
// are on the frontier of money against waiting, and which one to take. What a setting does to a run, and how a run is made,
// the caller says; a search over the same axes needs nothing else.
package tune
