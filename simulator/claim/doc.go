// Package claim reads and judges what somebody says of the figures of simulated runs, such as "wait.p99 <= 500ms" or
// "money <= rival.money * 0.8".
//
//	claim   = product ("<=" | ">=" | "<" | ">" | "==" | "!=") product
//	product = value { ("*" | "/") value }
//	value   = number [ unit ] | [ policy "." ] field
//
// A unit is ms, s, m or h, which makes a time of the number, or %. A field without a policy is of the first policy of the
// run; "rival" stands for the best of the others in that field, the oracle aside. Times and plain numbers do not compare.
package claim
