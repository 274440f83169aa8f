# what: a tool that shows differences its own way has no part in it, not even one that fails
# seen: https://github.com/zurawiki/gptcommit/issues/97
# seen: https://github.com/di-sukharev/opencommit/pull/519
# seen: https://github.com/microsoft/vscode/issues/295057
# asked: 1
# sent: +two
git config diff.external false
change two
GIT_EXTERNAL_DIFF=false git commit -q
is "$(message)" "$proposal"
