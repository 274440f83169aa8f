# what: a commit without a change has nothing to describe
# asked: 0
GIT_EDITOR='echo mine >' git commit -q --allow-empty
is "$(message)" mine
