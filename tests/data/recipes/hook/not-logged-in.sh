# what: without a login
# asked: 0
unset OPENAI_API_KEY OPENAI_BASE_URL OPENAI_MODEL
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
