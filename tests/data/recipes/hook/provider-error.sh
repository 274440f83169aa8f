# what: when the provider fails, the commit goes on with what the person writes
# seen: https://github.com/di-sukharev/opencommit/pull/527
# server: fails
# asked: 1
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
