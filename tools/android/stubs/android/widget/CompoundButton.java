package android.widget;

import android.content.Context;

public abstract class CompoundButton extends Button {
    public interface OnCheckedChangeListener {
        void onCheckedChanged(CompoundButton button, boolean checked);
    }

    public CompoundButton(Context context) {
        super(context);
    }

    public boolean isChecked() {
        return false;
    }

    public void setOnCheckedChangeListener(OnCheckedChangeListener listener) {}
}
