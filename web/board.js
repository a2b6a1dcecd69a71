// The way of what was taught here to a board.
//
// moveToBoard(state, tell): state is the file that Save writes, a Uint8Array; tell(text) shows how far it is. Rejects
// with an Error whose message is one line. While it is null the page shows no button for it.
export const moveToBoard = null;
