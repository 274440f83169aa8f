# what: on a machine without the toolkit
# asked: 0
PATH=/usr/bin:/bin
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
